package async

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// mode is how a binding takes its deliveries.
type mode uint8

const (
	modePush mode = iota + 1
	modeBatch
	modePull
)

// binding is one handler, or one puller, of one topic and group.
type binding struct {
	rt    *Runtime
	route *route
	mode  mode
	sub   transport.Subscription

	handle   HandleFunc          // push and Delivery.Process: the user's handler inside the interceptors
	wire     message.HandlerFunc // push: decode and handle, inside Watermill's middlewares
	batch    func(ctx context.Context, entries []*delivery) error
	observer Observer
	max      int
	linger   time.Duration
	mounted  bool // hosted on a Watermill router

	mu     sync.Mutex
	feed   *feed // running
	paused error // why it is paused, nil when it is not
	closed bool  // by Shutdown: it never starts again

	declaring sync.Mutex
	declared  time.Time // when the queue of dead letters was last declared again
}

// name is the rpc, and the group where it is not contract.
func (b *binding) name() string {
	if b.route.spec.Kind == KindEvent {
		return b.route.spec.Name() + " (group " + b.sub.Group + ")"
	}
	return b.route.spec.Name()
}

// register records a binding. What can be known to be wrong is refused here.
// setup completes the binding before anybody else can see it.
func (rt *Runtime) register(spec *Spec, m mode, opts []SubscribeOption, setup func(*binding)) (*binding, error) {
	o := subscribeOptions{batch: 100, linger: 100 * time.Millisecond}
	for _, opt := range opts {
		opt.applySubscribe(&o)
	}
	r := rt.route(spec)
	if r.err != nil {
		return nil, opError("subscribe", spec, r.err)
	}
	b := &binding{rt: rt, route: r, mode: m, max: o.batch, linger: o.linger}
	if err := b.configure(o); err != nil {
		return nil, opError("subscribe", spec, err)
	}
	b.observe(o.trace)
	setup(b)
	if err := rt.admit(b); err != nil {
		return nil, opError("subscribe", spec, err)
	}
	return b, nil
}

// admit adds b to the runtime's bindings.
func (rt *Runtime) admit(b *binding) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.phase >= phaseClosing {
		return ErrClosed
	}
	if b.mode != modePull && rt.phase != phaseIdle {
		return fmt.Errorf("%w: register every handler before Run", ErrRunning)
	}
	for _, other := range rt.bindings {
		if other.sub.Topic == b.sub.Topic && other.sub.Group == b.sub.Group && other.route.link == b.route.link {
			return fmt.Errorf("%w: topic %s, group %s; use another group, or one handler", ErrDuplicateSubscription, b.sub.Topic, b.sub.Group)
		}
	}
	rt.bindings = append(rt.bindings, b)
	return nil
}

// configure settles group, concurrency and prefetch.
func (b *binding) configure(o subscribeOptions) error {
	spec, link := b.route.spec, b.route.link
	group := spec.Group
	switch {
	case spec.Kind != KindEvent && (o.group != "" || o.broadcast):
		return fmt.Errorf("the group of a %s is contract: remove WithGroup and WithBroadcast, or set group in the service's options", spec.Kind)
	case o.broadcast && o.group != "":
		return errors.New("WithGroup and WithBroadcast exclude each other")
	case o.broadcast && link.caps.Broadcast == transport.None:
		return fmt.Errorf("%w: %s has no broadcast", ErrUnsupported, link.caps.System)
	case o.broadcast:
		group = "broadcast." + b.rt.instance
	case spec.Kind == KindEvent:
		group = first(o.group, b.rt.app)
	}
	if group == "" {
		return fmt.Errorf("%w: write WithGroup, WithApp, or app in the configuration", ErrNoGroup)
	}
	if err := checkGroup(group); err != nil {
		return err
	}
	ordered := spec.Policy.Ordering == OrderingByKey
	if ordered && b.mode == modeBatch {
		return fmt.Errorf("%w: %s is ordered by key, and a batch has no order of its own; use On, or the policy ORDERING_UNORDERED", ErrUnsupported, spec.Name())
	}
	s := b.route.subscription(b.rt, group)
	if s.Broadcast = o.broadcast; s.Broadcast && b.route.settings.deadTopic == "" {
		// A queue of dead letters would stay behind every process that ever ran.
		s.DeadTopic = ""
	}
	switch {
	case o.concurrency > 0:
		s.Concurrency = o.concurrency
	case b.rt.concurrency > 0:
		s.Concurrency = b.rt.concurrency
	case b.mode == modeBatch:
		s.Concurrency = 1
	}
	if o.concurrency < 0 || s.Concurrency > maxInFlight {
		return fmt.Errorf("concurrency %d: use 1 to %d", max(o.concurrency, s.Concurrency), maxInFlight)
	}
	switch b.mode {
	case modePush:
		s.Prefetch = min(prefetchFactor*s.Concurrency, maxInFlight)
	case modeBatch:
		if b.max < 1 || b.max > maxBatch || b.linger <= 0 {
			return fmt.Errorf("WithBatch(%d, %s): use 1 to %d messages and a positive linger", b.max, b.linger, maxBatch)
		}
		s.Prefetch = min(max(b.max*(s.Concurrency+1), s.Concurrency), maxInFlight)
	case modePull:
		s.Prefetch = s.Concurrency
		if ordered {
			s.Concurrency, s.Prefetch = 1, 1
		}
	}
	s.Interrupted = b.interrupted
	b.sub = s
	return nil
}

// interrupted notes that the transport lost what it fetched from, and begins again.
func (b *binding) interrupted(err error) {
	b.rt.counters.interruptions.Add(1)
	b.rt.log.Warn("fetching was interrupted, and begins again", "topic", b.sub.Topic, "group", b.sub.Group, "error", err)
	if b.observer.Interrupted != nil {
		b.observer.Interrupted(err)
	}
}

const (
	// maxInFlight bounds the unsettled deliveries of a binding.
	maxInFlight = 1000
	// prefetchFactor is how many deliveries are fetched for each one that can be handled at once, so that a worker
	// does not wait for the network between two messages, and acks travel many at a time. With 4 in place of 16, RabbitMQ
	// hands out a third fewer messages to 16 quick handlers. The price is fairness: what one consumer has fetched waits
	// for it, even when another one is idle.
	prefetchFactor = 16
)

// start declares and consumes. values are those of Run's context.
func (b *binding) start(ctx, values context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return opError("subscribe", b.route.spec, ErrClosed)
	}
	if b.feed != nil || b.paused != nil {
		return nil
	}
	f := newFeed(values, b)
	consumption, err := b.route.link.consumer.Consume(ctx, b.sub, f.receive)
	if err != nil {
		f.abandon()
		return opError("subscribe", b.route.spec, err)
	}
	f.consumption = consumption
	b.feed = f
	return nil
}

// stop drains the running feed, if there is one.
func (b *binding) stop(ctx context.Context) error {
	b.mu.Lock()
	f := b.feed
	b.feed = nil
	b.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.drain(ctx)
}

// seal refuses every start from now on.
func (b *binding) seal() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}

// pause stops fetching and says why. Handlers that run go on.
func (b *binding) pause(reason error) {
	b.mu.Lock()
	if b.paused != nil {
		b.mu.Unlock()
		return
	}
	b.paused = reason
	f := b.detach()
	b.mu.Unlock()
	if f != nil {
		b.rt.retire(f)
	}
}

// release ends the running feed without waiting for what its user holds.
func (b *binding) release() {
	b.mu.Lock()
	f := b.detach()
	b.mu.Unlock()
	if f != nil {
		b.rt.retire(f)
	}
}

// detach takes the running feed, if there is one, off the binding; it is to be retired. The caller holds the lock: a Shutdown takes
// it too, and so either finds the feed here, or waits for its end.
func (b *binding) detach() *feed {
	f := b.feed
	b.feed = nil
	if f != nil {
		b.rt.background.Add(1)
	}
	return f
}

// retire halts a feed that was detached and drains it in the background: it closes when what was begun is settled, or when the
// runtime is shut down.
func (rt *Runtime) retire(f *feed) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	warn := func(err error) {
		if err != nil {
			rt.log.Warn("a drain was not clean", "binding", f.b.name(), "error", err)
		}
	}
	warn(f.halt(ctx))
	go func() {
		defer rt.background.Done()
		warn(f.drain(context.Background()))
	}()
}
