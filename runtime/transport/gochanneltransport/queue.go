package gochanneltransport

import (
	"context"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// queue is what a group, a reply address or a dead topic holds. The transport's lock guards it.
type queue struct {
	temporary bool
	items     []*item
	taken     int
	topics    map[string]context.CancelFunc // the subscriptions to gochannel
	consumers []*consumption
	turn      int
}

// item is one message of one queue.
type item struct {
	queue        *queue
	source       *message.Message
	redeliveries int
}

func (q *queue) pop() *item {
	if len(q.items) == 0 {
		return nil
	}
	it := q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	q.taken++
	return it
}

// wake picks a consumer with room in turn, marks it busy, and returns it; nil when there is none.
func (q *queue) wake() *consumption {
	if len(q.items) == 0 {
		return nil
	}
	for range q.consumers {
		q.turn = (q.turn + 1) % len(q.consumers)
		if c := q.consumers[q.turn]; c.start() {
			return c
		}
	}
	return nil
}

// declare makes the queues of s and subscribes them; t.mu is held.
func (t *Transport) declare(s transport.Subscription) (*queue, error) {
	q := t.queue(s)
	topics := []string{s.Queue()}
	if s.Kind != transport.KindReply {
		topics = append(append(topics, s.Topic), s.Aliases...)
	}
	if err := t.subscribe(q, topics...); err != nil {
		return nil, err
	}
	if s.DeadTopic == "" {
		return q, nil
	}
	dead := t.queues[s.DeadTopic]
	if dead == nil {
		dead = &queue{topics: make(map[string]context.CancelFunc)}
		t.queues[s.DeadTopic] = dead
	}
	return q, t.subscribe(dead, s.DeadTopic)
}

// queue finds the queue of s, under an old name of the group if there is one, or makes it.
func (t *Transport) queue(s transport.Subscription) *queue {
	name := s.Queue()
	if q := t.queues[name]; q != nil {
		return q
	}
	for _, alias := range s.GroupAliases {
		if q := t.queues[transport.QueueName(s.Topic, alias)]; q != nil {
			t.queues[name] = q
			return q
		}
	}
	q := &queue{temporary: s.Broadcast || s.Kind == transport.KindReply, topics: make(map[string]context.CancelFunc)}
	t.queues[name] = q
	return q
}

func (t *Transport) subscribe(q *queue, topics ...string) error {
	for _, topic := range topics {
		if q.topics[topic] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		messages, err := t.channel.Subscribe(ctx, topic)
		if err != nil {
			cancel()
			return err
		}
		q.topics[topic] = cancel
		t.listeners[topic]++
		t.forwarders.Go(func() { t.forward(q, messages) })
	}
	return nil
}

// forward takes the messages of one gochannel subscription into the queue.
func (t *Transport) forward(q *queue, messages <-chan *message.Message) {
	for msg := range messages {
		t.mu.Lock()
		q.items = append(q.items, &item{queue: q, source: msg})
		c := q.wake()
		t.mu.Unlock()
		msg.Ack()
		if c != nil {
			c.run()
		}
	}
}

// detach takes c off the queue; a temporary queue goes with its last consumer.
func (t *Transport) detach(c *consumption, q *queue) {
	q.consumers = slices.DeleteFunc(q.consumers, func(other *consumption) bool { return other == c })
	if !q.temporary || len(q.consumers) > 0 {
		return
	}
	for topic, cancel := range q.topics {
		cancel()
		t.listeners[topic]--
	}
	for name, other := range t.queues {
		if other == q {
			delete(t.queues, name)
		}
	}
}
