package memorytransport_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// TestPubSubOrdered runs Watermill's universal suite over ordered groups.
func TestPubSubOrdered(t *testing.T) {
	t.Parallel()
	broker := memorytransport.NewBroker()
	tests.TestPubSub(t, tests.Features{
		ConsumerGroups:                      true,
		GuaranteedOrder:                     true,
		GuaranteedOrderWithSingleSubscriber: true,
		Persistent:                          true,
	}, pair(broker, transport.Subscription{Group: "suite", Ordered: true}),
		groupPair(broker, transport.Subscription{Ordered: true}))
}

// TestPubSubParallel runs it with several deliveries in flight.
func TestPubSubParallel(t *testing.T) {
	t.Parallel()
	broker := memorytransport.NewBroker()
	tests.TestPubSub(t, tests.Features{
		ConsumerGroups: true,
		Persistent:     true,
	}, pair(broker, transport.Subscription{Group: "suite", Concurrency: 16}),
		groupPair(broker, transport.Subscription{Concurrency: 16}))
}

func pair(b *memorytransport.Broker, s transport.Subscription) tests.PubSubConstructor {
	return func(t *testing.T) (message.Publisher, message.Subscriber) {
		t.Helper()
		return open(t, b, s)
	}
}

func groupPair(b *memorytransport.Broker, s transport.Subscription) tests.ConsumerGroupPubSubConstructor {
	return func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		t.Helper()
		s.Group = group
		return open(t, b, s)
	}
}

func open(t *testing.T, b *memorytransport.Broker, s transport.Subscription) (message.Publisher, message.Subscriber) {
	t.Helper()
	tr := b.Open()
	t.Cleanup(func() {
		if err := tr.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	sub, err := tr.Subscriber(s)
	if err != nil {
		t.Fatal(err)
	}
	return tr.Publisher(), sub
}
