package amqptransport_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/internal/pagetest"
	"github.com/asyncpb/async/runtime/promisetest"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
	"github.com/asyncpb/async/runtime/transport/transporttest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	var made traces
	t.Cleanup(func() { made.remove(t) })
	transporttest.Run(t, transporttest.Harness{
		Open:   func(t *testing.T) transport.Transport { return traced{open(t), &made} },
		Proven: pagetest.Column("../../../docs/transports.md", "amqp"),
	})
}

func TestConformanceOfTheRuntime(t *testing.T) {
	t.Parallel()
	var made traces
	t.Cleanup(func() { made.remove(t) })
	promisetest.Run(t, promisetest.Harness{
		Broker: func(t *testing.T) func() transport.Transport {
			return func() transport.Transport { return traced{openConfig(t, brokerConfig(t, brokerURL())), &made} }
		},
		Proven: pagetest.Promise("../../../docs/transports.md", "amqp"),
	})
}

// traces remembers the queues that a suite makes, whose names only the suite knows.
type traces struct {
	mu            sync.Mutex
	subscriptions []transport.Subscription
	topics        map[string]bool
}

func (r *traces) add(s transport.Subscription) {
	r.mu.Lock()
	r.subscriptions = append(r.subscriptions, s)
	r.mu.Unlock()
}

func (r *traces) addTopic(topic string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.topics == nil {
		r.topics = make(map[string]bool)
	}
	r.topics[topic] = true
}

func (r *traces) remove(t *testing.T) {
	t.Helper()
	ch := channel(t)
	for _, s := range r.subscriptions {
		if s.Validate() != nil {
			continue
		}
		removeQueues(ch, append(s.Aliases, s.Topic), s.Group)
		_, _ = ch.QueueDelete(s.Queue(), false, false, false)
	}
	for topic := range r.topics {
		_ = ch.ExchangeDelete(topic, false, false)
	}
	// What was delayed for nobody. Other messages go back with the channel.
	for {
		d, there, err := ch.Get(amqptransport.ParkedQueue, false)
		if err != nil || !there {
			return
		}
		target, _ := d.Headers[transport.MetaDelayTarget].(string)
		if _, topic, _ := strings.Cut(target, ":"); r.topics[topic] {
			_ = d.Ack(false)
		}
	}
}

// traced is a transport that leaves traces.
type traced struct {
	*amqptransport.Transport
	made *traces
}

func (r traced) Consume(ctx context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	r.made.add(s)
	return r.Transport.Consume(ctx, s, receive)
}

func (r traced) Declare(ctx context.Context, s transport.Subscription) error {
	r.made.add(s)
	return r.Transport.Declare(ctx, s)
}

func (r traced) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	r.made.addTopic(p.Topic)
	return r.Transport.Send(ctx, p, msg, done)
}

func (r traced) Subscriber(s transport.Subscription) (message.Subscriber, error) {
	return transport.NewSubscriber(r, s), nil
}
