package memorytransport

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
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
	epoch    time.Time // when the broker was made

	mu       sync.Mutex
	queues   map[string]*queue
	bindings map[string][]*queue // by topic
	seq      uint64
	schedule schedule
	timer    *time.Timer
	armed    bool          // timer will fire
	fires    time.Duration // when it does, since epoch
	rested   time.Duration // when it may fire again, since epoch
}

// NewBroker makes an empty broker.
func NewBroker(opts ...Option) *Broker {
	b := &Broker{capacity: DefaultCapacity, epoch: time.Now(), queues: make(map[string]*queue), bindings: make(map[string][]*queue)}
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
	for _, e := range slices.Clone(b.schedule) {
		if e.item.queue == q {
			b.schedule.remove(e.item)
		}
	}
	for _, waiting := range q.senders {
		close(waiting)
	}
	q.senders = nil
}

// breather is the least time between two ticks: when many retries are under way, each tick brings several of them.
const breather = 5 * time.Millisecond

// plan has the schedule act on an item.
func (b *Broker) plan(it *item, at time.Time) { b.schedule.add(it, at.Sub(b.epoch)) }

// arm sets the timer for the next event of the schedule.
func (b *Broker) arm() {
	if len(b.schedule) == 0 {
		return
	}
	next := max(b.schedule[0].at, b.rested)
	if b.armed && next >= b.fires {
		return
	}
	b.armed, b.fires = true, next
	wait := next - time.Since(b.epoch)
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, b.tick)
		return
	}
	b.timer.Reset(wait)
}

// tick does what is due: delays end and messages expire.
func (b *Broker) tick() {
	b.mu.Lock()
	b.armed = false
	now := time.Since(b.epoch)
	b.rested = now + breather
	var runs []*consumption
	for len(b.schedule) > 0 && b.schedule[0].at <= now {
		it := b.schedule.pop()
		q := it.queue
		if it.state != delayed && it.state != retrying {
			q.expire(it)
			continue
		}
		q.pend(it, -1)
		if it.expired() {
			it.state = gone
			q.room()
			continue
		}
		q.push(it)
		runs = q.wake(runs)
	}
	b.arm()
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
