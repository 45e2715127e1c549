package memorytransport

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// DefaultCapacity is how many messages a queue takes unless [WithCapacity] or the URL says otherwise.
const DefaultCapacity = 10000

// retriesPerPlace is how many deliveries may wait for their next attempt for each message that a queue takes.
const retriesPerPlace = 10

// Option changes a [Broker].
type Option interface{ apply(*Broker) }

type optionFunc func(*Broker)

func (f optionFunc) apply(b *Broker) { f(b) }

// WithCapacity bounds every queue to n messages that wait or are delayed, and to ten times as many that failed and wait
// for their next attempt. Zero and less mean [DefaultCapacity].
func WithCapacity(n int) Option {
	return optionFunc(func(b *Broker) {
		if n > 0 {
			b.capacity = n
		}
	})
}

// Broker keeps queues and their bindings. Transports that are opened on the same broker see the same queues; it lives
// as long as somebody refers to it. Its methods may be called from many goroutines at once.
type Broker struct {
	capacity int
	schedule schedule

	mu       lock
	queues   map[string]*queue
	bindings map[string][]*queue // by topic
	seq      uint64
}

// NewBroker makes an empty broker.
func NewBroker(opts ...Option) *Broker {
	b := &Broker{capacity: DefaultCapacity, queues: make(map[string]*queue), bindings: make(map[string][]*queue)}
	b.schedule.epoch, b.schedule.act = time.Now(), b.tick
	for _, o := range opts {
		o.apply(b)
	}
	return b
}

// Open returns a new transport on the broker.
func (b *Broker) Open() *Transport {
	return &Transport{broker: b, closing: make(chan struct{}), consumptions: make(map[*consumption]struct{})}
}

// declare makes what s needs, or says what differs.
func (b *Broker) declare(s transport.Subscription) (*queue, error) {
	temporary := s.Broadcast || s.Kind == transport.KindReply
	q := b.queues[s.Queue()]
	switch {
	case q == nil:
		q = b.make(s.Queue())
		q.ordered, q.temporary = s.Ordered, temporary
	case q.ordered != s.Ordered:
		return nil, mismatch(q, "ordered", s.Ordered, q.ordered)
	case q.temporary != temporary:
		return nil, mismatch(q, "temporary", temporary, q.temporary)
	}
	if s.DeadTopic != "" && b.queues[s.DeadTopic] == nil {
		b.make(s.DeadTopic)
	}
	if s.Kind == transport.KindReply {
		return q, nil
	}
	topics := append([]string{s.Topic}, s.Aliases...)
	for _, topic := range topics {
		if !slices.Contains(b.bindings[topic], q) {
			b.bindings[topic] = append(b.bindings[topic], q)
		}
		// The group now gets the topic under its new name: under both it would get everything twice.
		for _, alias := range s.GroupAliases {
			b.unbind(topic, b.queues[transport.QueueName(s.Topic, alias)])
		}
	}
	return q, nil
}

func mismatch(q *queue, property string, want, have bool) error {
	return &transport.TopologyError{
		Entity:   fmt.Sprintf("queue %q", q.name),
		Property: property,
		Want:     strconv.FormatBool(want),
		Have:     strconv.FormatBool(have),
		Remedy:   "subscribe to it in the same way everywhere, or give the group a new name",
	}
}

func (b *Broker) make(name string) *queue {
	q := &queue{name: name, broker: b}
	b.queues[name] = q
	return q
}

func (b *Broker) unbind(topic string, q *queue) {
	bound := slices.DeleteFunc(slices.Clone(b.bindings[topic]), func(other *queue) bool { return other == q })
	if len(bound) == 0 {
		delete(b.bindings, topic)
		return
	}
	b.bindings[topic] = bound
}

// remove deletes a queue with what it holds. Sends that wait for it look for their queues again.
func (b *Broker) remove(q *queue) {
	delete(b.queues, q.name)
	for topic := range b.bindings {
		b.unbind(topic, q)
	}
	b.schedule.forget(q)
	for _, waiting := range q.senders {
		close(waiting)
	}
	q.senders = nil
}

// stint is how many events of the schedule are dealt with before others get the lock.
const stint = 4

// tick does what is due: delays end and messages expire.
func (b *Broker) tick() {
	var space [stint]*item
	for items := b.schedule.due(space[:0]); len(items) > 0; items = b.schedule.due(space[:0]) {
		b.advance(items)
	}
}

// advance does what is due with a few items.
func (b *Broker) advance(items []*item) {
	// A look at what nobody has touched for long; better without the lock.
	var late [stint]bool
	for i, it := range items {
		late[i] = it.expired()
	}
	var runs []*consumption
	b.mu.Lock()
	for i, it := range items {
		q := it.queue
		switch it.state {
		case delayed, retrying:
			q.pend(it, -1)
			if late[i] && q.drops() {
				it.state = gone
				q.room()
				continue
			}
			q.push(it)
			runs = q.wake(runs)
		case ready, returned:
			if q.drops() {
				q.expire(it)
			}
		case taken, gone:
			// Somebody was faster.
		}
	}
	b.mu.Unlock()
	runAll(runs)
}

// describe returns what is known of the queues with these names, or of all.
func (b *Broker) describe(names []string) []transport.QueueInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(b.queues))
	}
	infos := make([]transport.QueueInfo, 0, len(names))
	for _, name := range names {
		if q := b.queues[name]; q != nil {
			infos = append(infos, transport.QueueInfo{
				Name: name, Ready: q.waiting, Unsettled: q.taken, Delayed: q.delayed + q.retrying, Consumers: len(q.consumers),
			})
		}
	}
	return infos
}
