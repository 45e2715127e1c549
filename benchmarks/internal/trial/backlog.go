package trial

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// Backlog measures n messages that are sent while nobody consumes, as many as the load's backlog at a time, and handled
// afterwards: the time of the sends, and that from the moment consuming begins to the last handler. A nil broker is none.
func Backlog(b *broker.Broker) Func {
	return func(ctx context.Context, p peer.Peer, l load.Load, n int) (Result, error) {
		return backlog(ctx, b, p, l, n)
	}
}

// Heap is Backlog that also finds the largest live heap on the way. Its times mean nothing.
func Heap(b *broker.Broker) Func {
	return func(ctx context.Context, p peer.Peer, l load.Load, n int) (Result, error) {
		largest := watchHeap()
		r, err := backlog(ctx, b, p, l, n)
		r.LiveHeap = largest()
		return r, err
	}
}

func backlog(ctx context.Context, b *broker.Broker, p peer.Peer, l load.Load, n int) (r Result, err error) {
	opened, err := p.Open(ctx, l)
	if err != nil {
		return r, fmt.Errorf("open: %w", err)
	}
	s, ok := opened.(peer.Pausable)
	if !ok {
		return r, fmt.Errorf("%T cannot be paused", opened)
	}
	r, err = cycles(ctx, s, l, n)
	err = errors.Join(err, s.Close(ctx))
	if q, isQueued := opened.(peer.Queued); isQueued && b != nil {
		err = errors.Join(err, b.Remove(q.Topology()))
	}
	return r, err
}

// cycles lets the backlog wait and be handled again and again until n messages are through.
func cycles(ctx context.Context, s peer.Pausable, l load.Load, n int) (r Result, err error) {
	var current atomic.Pointer[load.Tally]
	handle := func(number int, intended int64) { current.Load().Mark(number, intended) }
	current.Store(load.NewTally(0))
	if err := s.Receive(ctx, handle); err != nil {
		return r, fmt.Errorf("receive: %w", err)
	}
	runtime.GC()
	end, err := profile(ctx)
	if err != nil {
		return r, err
	}
	for r.Messages < n {
		t := load.NewTally(l.Backlog)
		done := t.Watch(l.Backlog, func() {})
		if err := s.Pause(); err != nil {
			return r, err
		}
		current.Store(t)
		watch := load.Start()
		if err := s.Fill(ctx, load.NewSource(0, l.Backlog)); err != nil {
			return r, fmt.Errorf("fill: %w", err)
		}
		if err := s.Resume(); err != nil {
			return r, err
		}
		if err := await(ctx, done, t); err != nil {
			return r, err
		}
		r.Usage = r.Plus(watch.Stop())
		r.Messages += l.Backlog
		expected, delivered, distinct := t.Counts()
		r.Expected, r.Delivered, r.Distinct = r.Expected+expected, r.Delivered+delivered, r.Distinct+distinct
	}
	return r, end()
}

// watchHeap looks at what is alive after a collection, again and again, until the returned function is called, which
// returns the most that it saw.
func watchHeap() func() uint64 {
	stop, stopped := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		var largest uint64
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for {
			select {
			case <-tick.C:
				runtime.GC()
				metrics.Read(live)
				largest = max(largest, live[0].Value.Uint64())
			case <-stop:
				stopped <- largest
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-stopped
	}
}
