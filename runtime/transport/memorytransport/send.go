package memorytransport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// Send stores msg in every queue that it is for, and calls done before it returns.
func (t *Transport) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	if p.Topic == "" {
		return errors.New("send: the topic is empty; name the topic or queue to send to")
	}
	if ctx.Err() != nil {
		return fmt.Errorf("send to %q: %w", p.Topic, context.Cause(ctx))
	}
	b := t.broker
	sent := contentOf(msg, p)
	if p.Delay > 0 {
		sent.pack()
	}
	// What takes memory is done before the lock is taken: who has to help the garbage collector would make everybody wait.
	first := new(item)
	if p.Group != "" {
		p.Topic = transport.QueueName(p.Topic, p.Group)
	}
	var one [1]*queue
	b.mu.Lock()
	queues, err := t.admit(ctx, p, one[:0])
	if err != nil {
		b.mu.Unlock()
		return err
	}
	var space [4]*consumption
	runs := space[:0]
	var alone [1]*item
	later := alone[:0]
	for i, q := range queues {
		it := first
		if i > 0 {
			it = new(item)
		}
		*it = item{content: sent, queue: q}
		if p.Delay > 0 {
			it.postpone(p)
			later = append(later, it)
			continue
		}
		if len(q.consumers) == 0 {
			it.pack()
		}
		q.push(it)
		runs = q.wake(runs)
	}
	b.mu.Unlock()
	for _, it := range later {
		b.schedule.plan(it, it.end(p.Delay))
	}
	if len(queues) == 0 && p.Mandatory {
		done(fmt.Errorf("send to %q: %w", p.Topic, transport.ErrUnroutable))
		return nil
	}
	done(nil)
	runAll(runs)
	return nil
}

// route lists the queues for p, whose topic is the name of a queue if it is for a group; space is for that one.
func (b *Broker) route(p transport.Publication, space []*queue) []*queue {
	if !p.Direct && p.Group == "" {
		return b.bindings[p.Topic]
	}
	if q := b.queues[p.Topic]; q != nil {
		return append(space, q)
	}
	return nil
}

// admit returns the queues for p when all of them have room. What is sent to one group does not wait for it: it is a retry,
// and takes the place of a delivery that is out. Were it to wait, failing messages of a full queue would hold every delivery
// that may be out, and none could be taken that makes room. admit is called and returns with the lock held.
func (t *Transport) admit(ctx context.Context, p transport.Publication, space []*queue) ([]*queue, error) {
	var offered *queue
	for {
		if t.closed {
			return nil, fmt.Errorf("send to %q: the transport is %w", p.Topic, transport.ErrClosed)
		}
		queues := t.broker.route(p, space)
		i := slices.IndexFunc(queues, (*queue).full)
		if i < 0 || p.Group != "" {
			return queues, nil
		}
		again := queues[i] == offered
		if offered != nil && !again {
			// The room that was offered there is of no use before there is room here; the next send may have it.
			offered.room()
		}
		offered = queues[i]
		if err := t.await(ctx, p, offered, again); err != nil {
			return nil, err
		}
	}
}

// await waits for room in q, without the lock: in front of all others when the room that was offered before went to
// somebody else.
func (t *Transport) await(ctx context.Context, p transport.Publication, q *queue, again bool) error {
	b := t.broker
	full := func() string {
		return fmt.Sprintf("send to %q: queue %q holds %d messages, as many as it takes", p.Topic, q.name, b.capacity)
	}
	if p.NoWait {
		return fmt.Errorf("%s: %w", full(), transport.ErrBacklog)
	}
	room := make(chan struct{})
	if again {
		q.senders = slices.Insert(q.senders, 0, room)
	} else {
		q.senders = append(q.senders, room)
	}
	b.mu.Unlock()
	var late <-chan time.Time
	if !p.Deadline.IsZero() {
		timer := time.NewTimer(time.Until(p.Deadline))
		defer timer.Stop()
		late = timer.C
	}
	var err error
	select {
	case <-room:
	case <-late:
		err = fmt.Errorf("%s, until the deadline: %w", full(), transport.ErrBlocked)
	case <-ctx.Done():
		err = fmt.Errorf("%s: %w: %w", full(), transport.ErrBlocked, context.Cause(ctx))
	case <-t.closing:
		err = fmt.Errorf("send to %q: the transport is %w", p.Topic, transport.ErrClosed)
	}
	b.mu.Lock()
	if err == nil {
		return nil
	}
	if i := slices.Index(q.senders, room); i >= 0 {
		q.senders = slices.Delete(q.senders, i, i+1)
	} else {
		// Room was offered at the same moment.
		q.room()
	}
	return err
}
