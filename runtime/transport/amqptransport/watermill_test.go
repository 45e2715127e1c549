package amqptransport_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// removeMigrated deletes what a durable configuration of watermill-amqp's has made.
func removeMigrated(topic, suffix string) {
	conn, err := amqp.Dial(brokerURL())
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if ch, err := conn.Channel(); err == nil {
		_, _ = ch.QueueDelete(topic+"_"+suffix, false, false, false)
		_, _ = ch.QueueDelete(topic, false, false, false)
		_ = ch.ExchangeDelete(topic, false, false)
	}
}

// TestConfigurationOfWatermillAMQPServesBoth sends between old and new constructors, over the same entities.
func TestConfigurationOfWatermillAMQPServesBoth(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]wamqp.Config{
		"a topic with subscribers": wamqp.NewDurablePubSubConfig(brokerURL(), wamqp.GenerateQueueNameTopicNameWithSuffix("billing")),
		"a queue":                  wamqp.NewDurableQueueConfig(brokerURL()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := "migration." + watermill.NewShortUUID()
			t.Cleanup(func() { removeMigrated(topic, "billing") })
			for _, oldSubscriber := range []bool{true, false} {
				var subscriber message.Subscriber
				var err error
				if oldSubscriber {
					subscriber, err = wamqp.NewSubscriber(config, watermill.NopLogger{})
				} else {
					subscriber, err = amqptransport.NewSubscriber(config, watermill.NopLogger{})
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, oldPublisher := range []bool{true, false} {
					ctx, cancel := context.WithCancel(t.Context())
					messages, err := subscriber.Subscribe(ctx, topic)
					if err != nil {
						t.Fatal(err)
					}
					sent := message.NewMessage(watermill.NewUUID(), []byte("payload"))
					sent.Metadata.Set("user", "header")
					publishOnce(t, config, oldPublisher, topic, sent.Copy())
					got := await(t, messages, "the message")
					if got.UUID != sent.UUID || string(got.Payload) != "payload" || got.Metadata.Get("user") != "header" {
						t.Errorf("old subscriber %v, old publisher %v: got %q %q %v", oldSubscriber, oldPublisher, got.UUID, got.Payload, got.Metadata)
					}
					got.Ack()
					cancel()
					for range messages {
						t.Error("a second message")
					}
				}
				if err := subscriber.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func publishOnce(t *testing.T, config wamqp.Config, old bool, topic string, msg *message.Message) {
	t.Helper()
	var publisher message.Publisher
	var err error
	if old {
		publisher, err = wamqp.NewPublisher(config, watermill.NopLogger{})
	} else {
		publisher, err = amqptransport.NewPublisher(config, watermill.NopLogger{})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := publisher.Publish(topic, msg); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMigratedPublisherTellsWhatNobodyTakes(t *testing.T) {
	t.Parallel()
	config := wamqp.NewDurablePubSubConfig(brokerURL(), wamqp.GenerateQueueNameTopicNameWithSuffix("billing"))
	config.Publish.Mandatory = true
	topic := "migration." + watermill.NewShortUUID()
	t.Cleanup(func() { removeMigrated(topic, "billing") })
	publisher, err := amqptransport.NewPublisher(config, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	if err := publisher.Publish(topic, newMessage("x")); !errors.Is(err, transport.ErrUnroutable) {
		t.Errorf("Publish: %v, want ErrUnroutable", err)
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMigrationRefusesTransactions(t *testing.T) {
	t.Parallel()
	config := wamqp.NewDurableQueueConfig(brokerURL())
	config.Publish.Transactional = true
	if _, err := amqptransport.NewPublisher(config, watermill.NopLogger{}); err == nil {
		t.Error("a publisher that hides errors was made")
	}
}
