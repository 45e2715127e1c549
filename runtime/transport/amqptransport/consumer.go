package amqptransport

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// maxPrefetch is the largest prefetch that AMQP can express.
const maxPrefetch = 1<<16 - 1

// consumption is one running subscription: a feed for the queue of its group, and one for each old queue that still
// exists.
type consumption struct {
	t       *Transport
	s       transport.Subscription
	receive func(transport.Delivery)
	// credit holds a token for every delivery that was handed out and is not settled.
	credit chan struct{}
	// handing is held while receive runs.
	handing sync.Mutex

	// stopping ends fetching, closing ends everything, ended tells that all feeds are gone; each is closed once.
	stopping, closing, ended chan struct{}
	ctx                      context.Context
	cancel                   context.CancelFunc
	feeds                    []*feed
	work                     sync.WaitGroup

	stopped atomic.Bool
	mu      sync.Mutex
	closed  bool
	trouble error
}

// Consume implements [transport.Consumer].
func (t *Transport) Consume(ctx context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if err := t.topology.put(t.queueOf(s), s); err != nil {
		return nil, err
	}
	c := &consumption{
		t: t, s: s, receive: receive,
		credit:   make(chan struct{}, min(s.InFlight(), maxPrefetch)),
		stopping: make(chan struct{}), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(t.ctx)
	c.addFeed(t.queueOf(s), false)
	for _, group := range s.GroupAliases {
		c.addFeed(t.queueName(s.Topic, group), true)
	}
	t.mu.Lock()
	if t.closing.Load() {
		t.mu.Unlock()
		c.cancel()
		return nil, transport.ErrClosed
	}
	t.consumptions[c] = struct{}{}
	t.mu.Unlock()
	c.work.Add(1)
	go func() {
		c.work.Wait()
		close(c.ended)
	}()
	err := c.start(ctx)
	c.work.Done()
	if err != nil {
		_ = c.Close(ctx)
		if !unreachable(err) {
			t.topology.remove(t.queueOf(s))
		}
		return nil, err
	}
	return c, nil
}

// start starts the feeds one after the other: the queue of the group must be bound before those of its old names lose
// their bindings, or a message could fall between them.
func (c *consumption) start(ctx context.Context) error {
	for _, f := range c.feeds {
		f.running.Store(true)
		c.work.Go(f.run)
		select {
		case err := <-f.started:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (c *consumption) addFeed(queue string, old bool) {
	c.feeds = append(c.feeds, &feed{c: c, queue: queue, old: old, started: make(chan error, 1), quiet: make(chan struct{})})
}

// Stop implements [transport.Consumption].
func (c *consumption) Stop(ctx context.Context) error {
	if !c.stopped.Swap(true) {
		close(c.stopping)
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		c.handing.Lock()
		defer c.handing.Unlock()
	}()
	select {
	case <-received:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, f := range c.feeds {
		if !f.running.Load() {
			continue
		}
		select {
		case <-f.quiet:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Close implements [transport.Consumption].
func (c *consumption) Close(ctx context.Context) error {
	err := c.Stop(ctx)
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.closing)
	}
	c.mu.Unlock()
	select {
	case <-c.ended:
		err = nil
	case <-ctx.Done():
		err = errors.Join(err, context.Cause(ctx))
	}
	c.cancel()
	if c.s.Broadcast || c.s.Kind == transport.KindReply {
		// Private to this consumption: nobody declares it again.
		c.t.topology.remove(c.t.queueOf(c.s))
	}
	c.t.mu.Lock()
	delete(c.t.consumptions, c)
	c.t.mu.Unlock()
	return err
}

// state is nil while every queue is consumed.
func (c *consumption) state() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

func (c *consumption) report(err error) {
	c.mu.Lock()
	c.trouble = err
	c.mu.Unlock()
}

// Ended implements [transport.Ender].
func (c *consumption) Ended() <-chan struct{} { return c.ended }

// hand gives d to the receiver, unless fetching was stopped meanwhile.
func (c *consumption) hand(p *post, d *amqp.Delivery) bool {
	c.handing.Lock()
	defer c.handing.Unlock()
	if c.stopped.Load() {
		return false
	}
	c.receive(p.delivery(d))
	return true
}

// reserve takes a place for a delivery. It reports false when it was ended before there was one.
func (c *consumption) reserve(p *post) bool {
	select {
	case c.credit <- struct{}{}:
		return true
	default:
	}
	select {
	case c.credit <- struct{}{}:
		return true
	case <-c.stopping:
		return false
	case <-p.ctx.Done():
		return false
	}
}

// free gives the place of a delivery back.
func (c *consumption) free() { <-c.credit }
