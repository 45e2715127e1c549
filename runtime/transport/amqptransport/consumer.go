package amqptransport

import (
	"context"
	"errors"
	"fmt"
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

// feed consumes one queue, over one channel after the other.
type feed struct {
	c     *consumption
	queue string
	old   bool // a queue of a group alias: consumed while it exists, never declared
	// started gets the outcome of the first attempt.
	started chan error
	// quiet is closed when nothing is fetched any more.
	quiet   chan struct{}
	once    sync.Once
	running atomic.Bool
	// suspect: the last consumer that was asked for got no answer.
	suspect bool
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

// run consumes, and begins again after every loss, until it is stopped.
func (f *feed) run() {
	defer f.isQuiet()
	ctx, cancel := context.WithCancel(f.c.ctx)
	defer cancel()
	// Between two channels there is nothing to give back, so stopping ends the feed there.
	go func() {
		select {
		case <-f.c.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	b := newBackoff(f.c.t.settings.pace)
	first := true
	for {
		ses, err := f.c.t.consume.session(ctx)
		if err != nil {
			f.start(err)
			return
		}
		consumed, err := f.attempt(ctx, ses)
		if ctx.Err() != nil {
			f.start(ctx.Err())
			return
		}
		if f.old && serverCode(err) == amqp.NotFound {
			f.start(nil)
			return
		}
		err = fmt.Errorf("consume queue %q: %w", f.queue, err)
		if !consumed && first && !unreachable(err) {
			f.start(err)
			return
		}
		first = first && !consumed
		f.c.report(err)
		f.c.t.logger.Debug("a consuming channel was lost", "queue", f.queue, "error", err)
		if consumed {
			b.reset()
			if f.c.s.Interrupted != nil {
				f.c.s.Interrupted(err)
			}
		}
		if ses.conn.IsClosed() {
			select {
			case <-ses.lost:
			case <-ctx.Done():
				return
			}
			if !ses.condemned() {
				// The next connection has a pace of its own, and nothing that this one suffered is held against it.
				b.reset()
				continue
			}
		}
		if !b.wait(ctx) {
			return
		}
	}
}

func (f *feed) start(err error) {
	select {
	case f.started <- err:
	default:
	}
}

func (f *feed) isQuiet() { f.once.Do(func() { close(f.quiet) }) }

// consume runs one channel of ses, from its opening to its loss. It reports whether deliveries could come.
func (f *feed) consume(ctx context.Context, ses *session) (consumed bool, err error) {
	if !f.old {
		if err := f.c.t.build(ctx, ses, f.c.s); err != nil {
			return false, err
		}
	}
	ch, err := ses.channel(ctx)
	if err != nil {
		return false, err
	}
	p := newPost(f.c.t, ses, ch, f.c.free)
	p.enough = max(1, cap(f.c.credit)/4)
	if f.c.s.Ordered {
		// One that is put back by itself would come again behind its successors, which are still out.
		p.keep = f.c.stopping
	}
	prefetch := cap(f.c.credit)
	if own := f.c.t.settings.config.Consume.Qos.PrefetchCount; own > 0 {
		prefetch = own
	}
	deliveries, err := f.ask(ctx, ses, ch, prefetch)
	if err != nil {
		p.lose(err)
		p.work.Wait()
		return false, err
	}
	f.start(nil)
	f.c.report(nil)
	p.work.Go(p.write)
	stopped := f.pump(p, deliveries)
	if stopped {
		// The end of its consumer makes the broker hand the next messages of an ordered group to the next one at
		// once, ahead of those that are still out here. So that consumer ends together with the channel, which
		// gives back everything in order.
		if !f.c.s.Ordered {
			p.cancelConsumer(f.tag(), deliveries)
		}
		f.isQuiet()
		select {
		case <-f.c.closing:
			p.drain()
		case <-p.ctx.Done():
		case <-f.c.ctx.Done():
		}
	}
	p.lose(errStopped)
	_ = ch.Close()
	p.work.Wait()
	return true, p.reason
}

// pump hands deliveries out until the channel is lost. It reports whether it ended because fetching was stopped.
func (f *feed) pump(p *post, deliveries <-chan amqp.Delivery) (stopped bool) {
	for {
		select {
		case d, open := <-deliveries:
			if !open {
				return false
			}
			if !f.c.reserve(p) {
				if p.ctx.Err() != nil {
					return false
				}
				f.giveBack(p, d.DeliveryTag)
				return true
			}
			if !f.c.hand(p, &d) {
				f.c.free()
				f.giveBack(p, d.DeliveryTag)
				return true
			}
		case <-f.c.stopping:
			return true
		case <-p.ctx.Done():
			return false
		}
	}
}

// giveBack returns a delivery that came while fetching was stopped. One of an ordered group stays with the channel, which
// returns it together with those before it: the broker puts what is returned by itself in front of what is returned later.
func (f *feed) giveBack(p *post, tag uint64) {
	if !f.c.s.Ordered {
		p.giveBack(tag)
	}
}

// tag names the consumer, which is the only one on its channel.
func (f *feed) tag() string {
	if own := f.c.t.settings.config.Consume.Consumer; own != "" {
		return own
	}
	return "async"
}

// subscribe starts the consumer at the broker.
func (f *feed) subscribe(ch *amqp.Channel, prefetch int) (<-chan amqp.Delivery, error) {
	if f.old {
		if err := f.c.t.retire(ch, f.queue, f.c.s); err != nil {
			return nil, err
		}
	}
	config := f.c.t.settings.config.Consume
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	return ch.Consume(f.queue, f.tag(), false, config.Exclusive, false, false, config.Arguments)
}
