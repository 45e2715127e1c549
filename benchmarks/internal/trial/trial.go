package trial

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// warm is how many messages go ahead of the measured ones, so that connections, queues and caches are what they will be.
const warm = 256

// patience is how long a run waits for its next message.
const patience = 90 * time.Second

// Func runs a load of n messages on a peer.
type Func func(ctx context.Context, p peer.Peer, l load.Load, n int) (Result, error)

// Publish measures the sending of n messages up to the last confirm. Afterwards it takes them out of the queue and looks
// whether they are there.
func Publish(b *broker.Broker) Func {
	return func(ctx context.Context, p peer.Peer, l load.Load, n int) (Result, error) {
		return queued(ctx, b, p, l, func(ctx context.Context, s peer.Queued) (Result, error) {
			if err := s.Send(ctx, load.NewSource(n, warm)); err != nil {
				return Result{}, fmt.Errorf("send ahead: %w", err)
			}
			runtime.GC()
			end, err := profile(ctx)
			if err != nil {
				return Result{}, err
			}
			watch := load.Start()
			err = s.Send(ctx, load.NewSource(0, n))
			r := Result{Usage: watch.Stop(), Messages: n}
			if err := errors.Join(err, end()); err != nil {
				return r, fmt.Errorf("send: %w", err)
			}
			t := load.NewTally(n + warm)
			err = b.Drain(ctx, s.Topology().Queues[0], s.Parse, t)
			r.Expected, r.Delivered, r.Distinct = t.Counts()
			// Without confirms, what the broker has not taken yet would be lost with the connection.
			return r, errors.Join(err, s.Close(ctx))
		})
	}
}

// Consume measures the handling of n messages that wait in the queue, from the first tenth on: what a consumer needs to
// begin is not its rate.
func Consume(b *broker.Broker) Func {
	return func(ctx context.Context, p peer.Peer, l load.Load, n int) (Result, error) {
		return queued(ctx, b, p, l, func(ctx context.Context, s peer.Queued) (Result, error) {
			if err := s.Fill(ctx, load.NewSource(0, n)); err != nil {
				return Result{}, fmt.Errorf("fill: %w", err)
			}
			t := load.NewTally(n)
			skipped := n / 10
			var watch *load.Stopwatch
			var usage load.Usage
			t.Watch(skipped, func() { watch = load.Start() })
			done := t.Watch(n, func() { usage = watch.Stop() })
			runtime.GC()
			end, err := profile(ctx)
			if err != nil {
				return Result{}, err
			}
			if err := s.Receive(ctx, l.Handler(t)); err != nil {
				return Result{}, fmt.Errorf("receive: %w", err)
			}
			waited := await(ctx, done, t)
			if err := errors.Join(waited, end(), s.Close(ctx)); err != nil {
				return Result{}, err
			}
			r := Result{Usage: usage, Messages: n - skipped}
			r.Expected, r.Delivered, r.Distinct = t.Counts()
			r.Left, err = b.Left(ctx, s.Topology().Queues[0])
			return r, err
		})
	}
}

// EndToEnd measures n messages from the first send to the last handler and the last confirm, whichever is later. With a
// rate the sends keep to their times, and the latencies are measured.
func EndToEnd(b *broker.Broker) Func {
	return func(ctx context.Context, p peer.Peer, l load.Load, n int) (Result, error) {
		return queued(ctx, b, p, l, func(ctx context.Context, s peer.Queued) (Result, error) {
			r, err := through(ctx, s, l, n)
			if err != nil {
				return r, err
			}
			r.Left, err = b.Left(ctx, s.Topology().Queues[0])
			return r, err
		})
	}
}

// InProcess is EndToEnd without a broker.
func InProcess(ctx context.Context, p peer.Peer, l load.Load, n int) (Result, error) {
	s, err := p.Open(ctx, l)
	if err != nil {
		return Result{}, fmt.Errorf("open: %w", err)
	}
	return through(ctx, s, l, n)
}

// OneProcessor is InProcess on a single processor, for differences of CPU time that are smaller than what it costs when two
// processors wake each other, or do not.
func OneProcessor(ctx context.Context, p peer.Peer, l load.Load, n int) (Result, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	return InProcess(ctx, p, l, n)
}

// through sends n messages to a handler and closes the session.
func through(ctx context.Context, s peer.Session, l load.Load, n int) (r Result, err error) {
	t := load.NewTally(n + warm)
	warmed := t.Watch(warm, func() {})
	var handled load.Usage
	var watch *load.Stopwatch
	done := t.Watch(n+warm, func() { handled = watch.Stop() })
	source := load.NewSource(0, n)
	if l.Rate > 0 || l.Mode == load.Request {
		t.KeepLatencies()
	}
	if l.Rate > 0 {
		source = load.NewPacedSource(0, n, l.Rate)
	}
	if err := s.Receive(ctx, l.Handler(t)); err != nil {
		return r, fmt.Errorf("receive: %w", err)
	}
	if err := s.Send(ctx, load.NewSource(n, warm)); err != nil {
		return r, fmt.Errorf("send ahead: %w", err)
	}
	if err := await(ctx, warmed, t); err != nil {
		return r, err
	}
	runtime.GC()
	end, err := profile(ctx)
	if err != nil {
		return r, err
	}
	watch = load.Start()
	if err := s.Send(ctx, source); err != nil {
		return r, fmt.Errorf("send: %w", err)
	}
	confirmed := watch.Stop()
	if err := errors.Join(await(ctx, done, t), end()); err != nil {
		return r, err
	}
	r.Usage, r.Messages = handled, n
	if confirmed.Elapsed > handled.Elapsed {
		r.Usage = confirmed
	}
	err = s.Close(ctx)
	r.Expected, r.Delivered, r.Distinct = t.Counts()
	p := t.Percentiles(0.5, 0.99, 0.999)
	r.P50, r.P99, r.P999 = p[0], p[1], p[2]
	return r, err
}

// queued runs f on a session, closes the session if f did not, and takes away what it declared.
func queued(ctx context.Context, b *broker.Broker, p peer.Peer, l load.Load, f func(context.Context, peer.Queued) (Result, error)) (r Result, err error) {
	opened, err := p.Open(ctx, l)
	if err != nil {
		return r, fmt.Errorf("open: %w", err)
	}
	s, ok := opened.(peer.Queued)
	if !ok {
		return r, fmt.Errorf("%T has no queue", opened)
	}
	once := &closeOnce{Queued: s}
	defer func() { err = errors.Join(err, once.Close(ctx), b.Remove(s.Topology())) }()
	return f(ctx, once)
}

// closeOnce is a session that may be closed again.
type closeOnce struct {
	peer.Queued
	closed bool
}

func (c *closeOnce) Close(ctx context.Context) error {
	if c.closed {
		return nil
	}
	c.closed = true
	return c.Queued.Close(ctx)
}

func await(ctx context.Context, done <-chan struct{}, t *load.Tally) error {
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for before := -1; ; {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			expected, delivered, distinct := t.Counts()
			if distinct == before {
				return fmt.Errorf("nothing came within %v; only %d of %d messages had arrived, %d of them different ones", patience, delivered, expected, distinct)
			}
			before = distinct
		}
	}
}
