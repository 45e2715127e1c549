package amqptransport_test

import (
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/asyncpb/async/runtime/transport"
)

// universal runs Watermill's own suite.
func universal(t *testing.T, features tests.Features, s transport.Subscription) {
	t.Parallel()
	var mu sync.Mutex
	var topics []string
	groups := map[string]bool{s.Group: true}
	t.Cleanup(func() {
		var names []string
		for group := range groups {
			names = append(names, group)
		}
		discard(t, topics, names)
	})
	features.GenerateTopicFunc = func(c tests.TestContext) string {
		mu.Lock()
		defer mu.Unlock()
		topics = append(topics, "universal."+c.TestID.String())
		return topics[len(topics)-1]
	}
	pair := func(t *testing.T, s transport.Subscription) (message.Publisher, message.Subscriber) {
		t.Helper()
		tr := open(t)
		subscriber, err := tr.Subscriber(s)
		if err != nil {
			t.Fatal(err)
		}
		return tr.Publisher(), subscriber
	}
	tests.TestPubSub(t, features,
		func(t *testing.T) (message.Publisher, message.Subscriber) { return pair(t, s) },
		func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
			mu.Lock()
			groups[group] = true
			mu.Unlock()
			own := s
			own.Group = group
			return pair(t, own)
		})
}

func TestPubSubOrdered(t *testing.T) {
	universal(t, tests.Features{
		ConsumerGroups:                      true,
		GuaranteedOrder:                     true,
		GuaranteedOrderWithSingleSubscriber: true,
		Persistent:                          true,
	}, transport.Subscription{Group: "ordered", Kind: transport.KindEvent, Ordered: true})
}

func TestPubSubParallel(t *testing.T) {
	universal(t, tests.Features{
		ConsumerGroups: true,
		Persistent:     true,
	}, transport.Subscription{Group: "parallel", Kind: transport.KindEvent, Concurrency: 10})
}
