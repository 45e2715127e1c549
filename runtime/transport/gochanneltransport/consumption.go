package gochanneltransport

import (
	"context"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// spell is how many deliveries one goroutine hands over before another goes on in its place.
const spell = 64

// consumption hands the items of a queue to one receiver. The transport's lock guards all that changes. At most one
// goroutine is in run, as long as busy holds.
type consumption struct {
	transport *Transport
	queue     *queue // nil for what was taken by browsing
	limit     int
	receive   func(transport.Delivery)
	ctx       context.Context //nolint:containedctx // it is handed to every message and ends when deliveries are lost
	lose      context.CancelCauseFunc
	ended     chan struct{}

	open    []*delivery // in the order of their items
	busy    bool
	stopped bool
	closed  bool
	quiet   chan struct{} // closed when the goroutine in run has left, after Stop
}

func newConsumption(t *Transport, q *queue, limit int, receive func(transport.Delivery)) *consumption {
	c := &consumption{
		transport: t, queue: q, limit: limit, receive: receive,
		ended: make(chan struct{}), quiet: make(chan struct{}),
	}
	c.ctx, c.lose = context.WithCancelCause(context.Background())
	return c
}

// start marks c busy if it has room. The caller then calls run without the lock.
func (c *consumption) start() bool {
	if c.busy || c.stopped || len(c.open) >= c.limit {
		return false
	}
	c.busy = true
	return true
}

func (c *consumption) run() {
	mu := &c.transport.mu
	for range spell {
		mu.Lock()
		d := c.take()
		if d == nil {
			c.busy = false
			if c.stopped {
				close(c.quiet)
			}
			mu.Unlock()
			return
		}
		mu.Unlock()
		c.receive(d)
	}
	go c.run()
}

func (c *consumption) take() *delivery {
	if c.stopped || len(c.open) >= c.limit {
		return nil
	}
	it := c.queue.pop()
	if it == nil {
		return nil
	}
	return c.hold(it)
}

// hold makes a delivery with a message of its own.
func (c *consumption) hold(it *item) *delivery {
	msg := it.source.Copy()
	msg.SetContext(c.ctx)
	d := &delivery{consumption: c, item: it, msg: msg, redeliveries: it.redeliveries}
	c.open = append(c.open, d)
	return d
}

// Ended is closed when the consumption was closed, by itself or with its transport.
func (c *consumption) Ended() <-chan struct{} { return c.ended }

// Stop ends fetching and waits until receive has returned. It must not be called from receive, or it waits for ctx.
func (c *consumption) Stop(ctx context.Context) error {
	c.transport.mu.Lock()
	c.halt()
	c.transport.mu.Unlock()
	return c.still(ctx)
}

func (c *consumption) halt() {
	if c.stopped {
		return
	}
	c.stopped = true
	if !c.busy {
		close(c.quiet)
	}
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

// Close stops, puts back what is out, and leaves the queue.
func (c *consumption) Close(ctx context.Context) error {
	t := c.transport
	t.mu.Lock()
	if c.closed {
		t.mu.Unlock()
		return c.still(ctx)
	}
	c.closed = true
	c.halt()
	queues := make(map[*queue]struct{})
	for _, d := range slices.Backward(slices.Clone(c.open)) {
		queues[d.item.queue] = struct{}{}
		d.putBack()
	}
	if c.queue != nil {
		queues[c.queue] = struct{}{}
		t.detach(c, c.queue)
	}
	var woken []*consumption
	for q := range queues {
		for next := q.wake(); next != nil; next = q.wake() {
			woken = append(woken, next)
		}
	}
	delete(t.consumptions, c)
	t.mu.Unlock()
	c.lose(transport.ErrDeliveryLost)
	close(c.ended)
	for _, next := range woken {
		next.run()
	}
	return c.still(ctx)
}

// delivery is one item with one consumer.
type delivery struct {
	consumption  *consumption
	item         *item // nil when it is settled or was put back
	msg          *message.Message
	redeliveries int
}

// Message returns the message.
func (d *delivery) Message() *message.Message { return d.msg }

// Redeliveries is how often the message was handed out before.
func (d *delivery) Redeliveries() int { return d.redeliveries }

// Settle drops the message or puts it back.
func (d *delivery) Settle(o transport.Outcome, done func(error)) {
	c := d.consumption
	mu := &c.transport.mu
	mu.Lock()
	it := d.item
	err := transport.ErrDeliveryLost
	var next *consumption
	if it != nil {
		err = nil
		if o == transport.Requeue {
			d.putBack()
		} else {
			d.release()
		}
		next = it.queue.wake()
	}
	mu.Unlock()
	if done != nil {
		done(err)
	}
	if next != nil {
		next.run()
	}
}

func (d *delivery) release() {
	open := d.consumption.open
	i := slices.Index(open, d)
	d.consumption.open = slices.Delete(open, i, i+1)
	d.item.queue.taken--
	d.item = nil
}

// putBack puts the item at the head of its queue.
func (d *delivery) putBack() {
	it := d.item
	d.release()
	it.redeliveries++
	it.queue.items = slices.Insert(it.queue.items, 0, it)
}
