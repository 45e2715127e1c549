package amqptransport

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// closeGrace is how long Close waits for the confirms of what was written.
const closeGrace = time.Second

func init() {
	open := func(ctx context.Context, c transport.Config) (transport.Transport, error) { return Open(ctx, c) }
	transport.Register("amqp", open)
	transport.Register("amqps", open)
}

// Transport carries messages over RabbitMQ. It implements [transport.Transport], [transport.Sender],
// [transport.Consumer], [transport.Declarer], [transport.Reporter] and [transport.Browser]. Every method may be called from many
// goroutines at once.
type Transport struct {
	settings  *settings
	logger    *slog.Logger
	frameSize int

	publish, consume *link
	topology         topology
	ladder           ladder
	// providing is by what is provided for messages, declaring by queue.
	providing, declaring turns

	shards []*shard
	window window
	sweep  chan struct{}
	probes chan struct{} // one for each probe that runs

	mu           sync.Mutex
	consumptions map[*consumption]struct{}

	closing  atomic.Bool
	ctx      context.Context
	cancel   context.CancelCauseFunc
	work     sync.WaitGroup
	bounds   atomic.Value // the context of Close
	closed   chan struct{}
	closeErr error
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Sender    = (*Transport)(nil)
	_ transport.Consumer  = (*Transport)(nil)
	_ transport.Declarer  = (*Transport)(nil)
	_ transport.Describer = (*Transport)(nil)
	_ transport.Reporter  = (*Transport)(nil)
	_ transport.Browser   = (*Transport)(nil)
	_ transport.Ender     = (*consumption)(nil)
)

// Open connects to the broker of c, twice: to publish and to consume. It does not try again when it fails; ctx bounds
// the attempt and nothing else. [transport.ParseURL] makes c from a URL. Whoever opens a transport closes it.
//
// Errors never hold a password.
func Open(ctx context.Context, c transport.Config, opts ...Option) (*Transport, error) {
	s, err := newSettings(c, opts)
	if err != nil {
		return nil, err
	}
	d, err := newDialer(c, s)
	if err != nil {
		return nil, err
	}
	t := &Transport{
		settings:     s,
		logger:       c.Logger,
		window:       window{size: s.window},
		ladder:       newLadder(),
		sweep:        make(chan struct{}, 1),
		probes:       make(chan struct{}, maxProbes),
		consumptions: make(map[*consumption]struct{}),
		closed:       make(chan struct{}),
	}
	if t.logger == nil {
		t.logger = slog.New(slog.DiscardHandler)
	}
	t.publish = newLink("publish", d, s.channels, s.pace, t.logger)
	t.consume = newLink("consume", d, 0, s.pace, t.logger)
	t.publish.changed = func() {
		for _, sh := range t.shards {
			sh.signal()
		}
	}
	if err := t.publish.connect(ctx); err != nil {
		return nil, err
	}
	if err := t.consume.connect(ctx); err != nil {
		_ = t.publish.current.conn.CloseDeadline(time.Now().Add(closeTimeout))
		t.publish.current.stream.cut()
		return nil, err
	}
	t.frameSize = t.publish.current.conn.Config.FrameSize
	t.ctx, t.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	for number := range s.channels {
		t.shards = append(t.shards, newShard(t, number))
	}
	t.start()
	return t, nil
}

func (t *Transport) start() {
	bounds := func() context.Context {
		if ctx, ok := t.bounds.Load().(bound); ok {
			return ctx.Context
		}
		return t.ctx
	}
	t.work.Go(func() { t.publish.run(t.ctx, bounds) })
	t.work.Go(func() { t.consume.run(t.ctx, bounds) })
	t.work.Go(t.runSweeper)
	for _, sh := range t.shards {
		t.work.Go(sh.run)
	}
}

// bound gives the contexts in an atomic value one concrete type.
type bound struct{ context.Context }

// Capabilities implements [transport.Transport].
func (t *Transport) Capabilities() transport.Capabilities {
	return transport.Capabilities{
		System:         "rabbitmq",
		Durable:        transport.Native,
		Groups:         transport.Native,
		StandingGroups: transport.Native,
		Redelivery:     transport.Native,
		Target:         transport.Native,
		Delay:          transport.Native,
		Order:          transport.Native,
		DeadLetter:     transport.Native,
		Mandatory:      transport.Native,
		Settlement:     transport.Native,
		Broadcast:      transport.Native,
		Reply:          transport.Native,
	}
}

// Publisher implements [transport.Transport].
func (t *Transport) Publisher() message.Publisher { return transport.NewPublisher(t) }

// Subscriber implements [transport.Transport].
func (t *Transport) Subscriber(s transport.Subscription) (message.Subscriber, error) {
	return transport.NewSubscriber(t, s), nil
}

// Report implements [transport.Reporter]: the state of both connections, and of every subscription that cannot
// consume.
func (t *Transport) Report() error {
	if t.closing.Load() {
		return transport.ErrClosed
	}
	errs := []error{t.publish.state(), t.consume.state()}
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.consumptions {
		errs = append(errs, c.state())
	}
	return errors.Join(errs...)
}

// Close implements [transport.Transport].
func (t *Transport) Close(ctx context.Context) error {
	if t.closing.Swap(true) {
		select {
		case <-t.closed:
			return t.closeErr
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer close(t.closed)
	t.mu.Lock()
	running := slices.Collect(maps.Keys(t.consumptions))
	t.mu.Unlock()
	var closings sync.WaitGroup
	for _, c := range running {
		closings.Go(func() { _ = c.Close(ctx) })
	}
	closings.Wait()
	t.awaitConfirms(ctx)
	t.bounds.Store(bound{ctx})
	t.cancel(transport.ErrClosed)
	t.work.Wait()
	for _, c := range running {
		<-c.ended
	}
	t.closeErr = context.Cause(ctx)
	return t.closeErr
}

// awaitConfirms waits for the broker's answers to what was written, while it can be expected to give them.
func (t *Transport) awaitConfirms(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for t.publish.state() == nil {
		idle := true
		for _, sh := range t.shards {
			idle = idle && sh.idle()
		}
		if idle {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
