package amqptransport_test

import (
	"testing"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// universal runs Watermill's own suite.
func universal(t *testing.T, features tests.Features, s transport.Subscription, opts ...amqptransport.Option) {
	t.Parallel()
	var made traces
	t.Cleanup(func() { made.remove(t) })
	pair := func(t *testing.T, s transport.Subscription) (message.Publisher, message.Subscriber) {
		t.Helper()
		tr := traced{open(t, opts...), &made}
		subscriber, err := tr.Subscriber(s)
		if err != nil {
			t.Fatal(err)
		}
		return tr.Publisher(), subscriber
	}
	tests.TestPubSub(t, features,
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			t.Helper()
			return pair(t, s)
		},
		func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
			t.Helper()
			own := s
			own.Group = group
			return pair(t, own)
		})
}

var ordered = tests.Features{
	ConsumerGroups:                      true,
	GuaranteedOrder:                     true,
	GuaranteedOrderWithSingleSubscriber: true,
	Persistent:                          true,
}

// TestPubSubOrdered has no delivery limit: the suite refuses one message 300 times and then wants to have it, while a
// group's own queue moves it to the dead letters after 100.
func TestPubSubOrdered(t *testing.T) {
	universal(t, ordered, transport.Subscription{Group: "ordered", Kind: transport.KindEvent, Ordered: true},
		amqptransport.WithConfig(func(c *wamqp.Config) {
			c.Queue.Arguments = amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum, amqp.SingleActiveConsumerArg: true}
		}))
}

func TestPubSubOrderedWithDeliveryLimit(t *testing.T) {
	features := ordered
	features.ForceShort = true
	universal(t, features, transport.Subscription{Group: "limited", Kind: transport.KindEvent, Ordered: true})
}

func TestPubSubParallel(t *testing.T) {
	universal(t, tests.Features{
		ConsumerGroups: true,
		Persistent:     true,
	}, transport.Subscription{Group: "parallel", Kind: transport.KindEvent, Concurrency: 10})
}
