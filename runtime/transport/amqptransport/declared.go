package amqptransport

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/asyncpb/async/runtime/transport"
)

// topology remembers what was declared, to declare it again.
type topology struct {
	mu       sync.RWMutex
	declared map[string]transport.Subscription // by queue
	topics   map[string]int                    // how many of them take part in a topic
}

// knows reports whether a queue of topic was declared here.
func (y *topology) knows(topic string) bool {
	y.mu.RLock()
	defer y.mu.RUnlock()
	return y.topics[topic] > 0
}

// put keeps s, unless the queue serves another group: the two would share messages that both should get.
func (y *topology) put(queue string, s transport.Subscription) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	old, there := y.declared[queue]
	if there && (old.Topic != s.Topic || old.Group != s.Group) {
		return fmt.Errorf("%w: queue %q would serve group %q of %q and group %q of %q; let Queue.GenerateName tell them apart",
			transport.ErrTopology, queue, old.Group, old.Topic, s.Group, s.Topic)
	}
	if y.declared == nil {
		y.declared, y.topics = make(map[string]transport.Subscription), make(map[string]int)
	}
	if there {
		y.count(old, -1)
	}
	y.declared[queue] = s
	y.count(s, 1)
	return nil
}

func (y *topology) remove(queue string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if s, there := y.declared[queue]; there {
		delete(y.declared, queue)
		y.count(s, -1)
	}
}

func (y *topology) count(s transport.Subscription, n int) {
	if s.Kind == transport.KindReply {
		return
	}
	for _, topic := range topics(s) {
		y.topics[topic] += n
	}
}

// of lists what was declared for topic.
func (y *topology) of(topic string) []transport.Subscription {
	y.mu.RLock()
	defer y.mu.RUnlock()
	var subscriptions []transport.Subscription
	for _, queue := range slices.Sorted(maps.Keys(y.declared)) {
		if s := y.declared[queue]; s.Kind != transport.KindReply && slices.Contains(topics(s), topic) {
			subscriptions = append(subscriptions, s)
		}
	}
	return subscriptions
}

// all lists what was declared and has a group.
func (y *topology) all() []transport.Subscription {
	y.mu.RLock()
	defer y.mu.RUnlock()
	var subscriptions []transport.Subscription
	for _, queue := range slices.Sorted(maps.Keys(y.declared)) {
		if s := y.declared[queue]; s.Kind != transport.KindReply {
			subscriptions = append(subscriptions, s)
		}
	}
	return subscriptions
}
