package memorytransport

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

const (
	// spell is how many deliveries one goroutine hands over before another goes on in its place: the one that sends or
	// settles does the work of delivering, and must get back to its own.
	spell = 64
	// handful is how many deliveries are taken under the lock at once, if there are so many.
	handful = 16
)

// consumption hands deliveries of one or more queues to one receiver. The broker's lock guards all that changes.
//
// Whoever brings work (a send, a settlement, a timer) calls start under the lock and run without it. At most one
// goroutine is in run, as long as busy holds; it looks again under the lock before it leaves, so that work that came
// meanwhile is not left lying.
type consumption struct {
	transport *Transport
	queues    []*queue
	limit     int // deliveries that may be out
	enough    int // what was full takes no more until so few are out
	readOnly  bool
	receive   func(transport.Delivery)
	ctx       context.Context //nolint:containedctx // it is handed to every message and ends when deliveries are lost
	lose      context.CancelCauseFunc
	ended     chan struct{}

	out     int
	full    bool      // the limit was reached, and more than enough are out since
	first   *delivery // the list of deliveries that are out
	busy    bool
	stopped bool
	closed  bool
	quiet   chan struct{} // closed when the goroutine in run has left, after Stop
}

// newConsumption is for s. One that is full takes more by the handful: where every settlement made room for one delivery, each
// would come back for the lock to take it. What it holds meanwhile is more than its handlers work on. In an ordered group
// deliveries may wait for others of their key, so there each has its place at once.
func newConsumption(t *Transport, s transport.Subscription, receive func(transport.Delivery)) *consumption {
	c := &consumption{
		transport: t, limit: s.InFlight(), readOnly: s.ReadOnly, receive: receive,
		ended: make(chan struct{}), quiet: make(chan struct{}),
	}
	c.enough = c.limit - 1
	if !s.Ordered {
		c.enough = min(c.enough, c.limit-(c.limit-s.Concurrency)/2)
	}
	c.ctx, c.lose = context.WithCancelCause(context.Background())
	return c
}

func (c *consumption) ready() bool { return !c.busy && !c.stopped && !c.full }

// start marks c busy and appends it to runs, if it can take more.
func (c *consumption) start(runs []*consumption) []*consumption {
	if !c.ready() {
		return runs
	}
	c.busy = true
	return append(runs, c)
}

// restart is start for when c itself has room again.
func (c *consumption) restart(runs []*consumption) []*consumption {
	for _, q := range c.queues {
		if q.waiting > 0 && q.serves(c) {
			return c.start(runs)
		}
	}
	return runs
}

// run hands over what there is.
func (c *consumption) run() {
	b := c.transport.broker
	var deliveries [handful]*delivery
	want := 1
	for handed := 0; handed < spell; {
		// Memory is taken before the lock is: who has to help the garbage collector would make everybody wait.
		for i := range want {
			deliveries[i] = new(delivery)
		}
		b.mu.Lock()
		n := c.take(deliveries[:want])
		want = c.wants()
		if n == 0 && want == 0 {
			c.busy = false
			if c.stopped {
				close(c.quiet)
			}
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		for i, d := range deliveries[:n] {
			// Closed meanwhile, c has put back the rest.
			if i == 0 || c.ctx.Err() == nil {
				d.open()
				c.receive(d)
			}
		}
		handed += n
	}
	go c.run()
}

// take makes deliveries of the next items of the queues, and reports of how many.
func (c *consumption) take(deliveries []*delivery) int {
	n := 0
	for _, q := range c.queues {
		for n < len(deliveries) && !c.stopped && !c.full && q.serves(c) {
			it := q.pop()
			if it == nil {
				break
			}
			c.hold(it, deliveries[n])
			n++
		}
	}
	return n
}

// wants is how many items can be taken at once.
func (c *consumption) wants() int {
	if c.stopped || c.full {
		return 0
	}
	n := 0
	for _, q := range c.queues {
		if q.serves(c) {
			n += q.waiting
		}
	}
	return min(n, c.limit-c.out, handful)
}

// hold makes d the delivery of an item.
func (c *consumption) hold(it *item, d *delivery) {
	d.consumption, d.item, d.sent, d.redeliveries, d.next = c, it, &it.content, it.redeliveries, c.first
	if c.first != nil {
		c.first.prev = d
	}
	c.first = d
	c.out++
	c.full = c.out >= c.limit
}

// Ended is closed when the consumption was closed, by itself or with its transport.
func (c *consumption) Ended() <-chan struct{} { return c.ended }

// Stop ends fetching and waits until receive has returned. It must not be called from receive, or it waits for ctx.
func (c *consumption) Stop(ctx context.Context) error {
	b := c.transport.broker
	b.mu.Lock()
	runs := c.halt(nil)
	b.mu.Unlock()
	runAll(runs)
	return c.still(ctx)
}

// halt ends fetching; the next consumer of an ordered queue takes over if nothing is out.
func (c *consumption) halt(runs []*consumption) []*consumption {
	if c.stopped {
		return runs
	}
	c.stopped = true
	if !c.busy {
		close(c.quiet)
	}
	return c.yield(runs)
}

// yield wakes the other consumers of the queues.
func (c *consumption) yield(runs []*consumption) []*consumption {
	for _, q := range c.queues {
		runs = q.wakeAll(runs)
	}
	return runs
}

func (c *consumption) still(ctx context.Context) error {
	select {
	case <-c.quiet:
		return nil
	default:
	}
	select {
	case <-c.quiet:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close stops, puts back what is out, and detaches from the queues.
func (c *consumption) Close(ctx context.Context) error {
	b := c.transport.broker
	b.mu.Lock()
	if c.closed {
		b.mu.Unlock()
		return c.still(ctx)
	}
	c.closed = true
	runs := c.halt(nil)
	for d := c.first; d != nil; d = c.first {
		d.putBack()
	}
	for _, q := range c.queues {
		q.detach(c)
	}
	runs = c.yield(runs)
	delete(c.transport.consumptions, c)
	b.mu.Unlock()
	c.lose(transport.ErrDeliveryLost)
	close(c.ended)
	runAll(runs)
	return c.still(ctx)
}

func runAll(runs []*consumption) {
	for _, c := range runs {
		c.run()
	}
}

// delivery is one item with one consumer.
type delivery struct {
	consumption  *consumption
	item         *item // nil when it is settled or was put back
	sent         *content
	msg          *message.Message
	shared       message.Message // what msg is for a receiver that only reads
	redeliveries int
	prev, next   *delivery
}

// open makes the receiver's message. It needs no lock.
func (d *delivery) open() {
	if d.consumption.readOnly {
		d.sent.lent(&d.shared)
		d.msg = &d.shared
	} else {
		d.msg = d.sent.message()
	}
	d.msg.SetContext(d.consumption.ctx)
}

// Message returns the message.
func (d *delivery) Message() *message.Message { return d.msg }

// Redeliveries is how often the message was handed out before.
func (d *delivery) Redeliveries() int { return d.redeliveries }

// Settle removes the message from its queue or puts it back.
func (d *delivery) Settle(o transport.Outcome, done func(error)) {
	c := d.consumption
	b := c.transport.broker
	b.mu.Lock()
	it := d.item
	if it == nil {
		b.mu.Unlock()
		if done != nil {
			done(transport.ErrDeliveryLost)
		}
		return
	}
	var space [4]*consumption
	runs := space[:0]
	if o == transport.Requeue {
		d.putBack()
		runs = it.queue.wake(runs)
	} else {
		d.release()
	}
	runs = c.restart(runs)
	if c.stopped && c.out == 0 {
		runs = c.yield(runs)
	}
	b.mu.Unlock()
	if done != nil {
		done(nil)
	}
	runAll(runs)
}

// release takes the delivery off its consumption.
func (d *delivery) release() {
	c := d.consumption
	if d.prev != nil {
		d.prev.next = d.next
	} else {
		c.first = d.next
	}
	if d.next != nil {
		d.next.prev = d.prev
	}
	d.prev, d.next = nil, nil
	d.item.queue.taken--
	d.item = nil
	c.out--
	c.full = c.full && c.out > c.enough
}

// putBack releases the delivery and returns its item to the queue.
func (d *delivery) putBack() {
	it := d.item
	d.release()
	it.redeliveries++
	it.queue.putBack(it)
}
