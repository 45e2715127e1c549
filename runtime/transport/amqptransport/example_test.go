package amqptransport_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// A team that has its own rules for the names of exchanges opens the transport by itself and gives it to the runtime.
func ExampleWithConfig() {
	c, err := transport.ParseURL(brokerURL()) // amqp://user:password@host:5672/vhost
	if err != nil {
		fmt.Println(err)
		return
	}
	tr, err := amqptransport.Open(context.Background(), c, amqptransport.WithConfig(func(c *wamqp.Config) {
		c.Exchange.GenerateName = func(topic string) string { return "events." + topic }
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tr.Capabilities().System, tr.Close(context.Background()))
	// Output: rabbitmq <nil>
}

// A program on watermill-amqp changes the constructor and keeps its configuration, its Router and its middlewares. Until
// all of its instances have changed, old and new ones share exchanges, queues and wire format.
func ExampleNewPublisher() {
	topic, logger := "migration."+watermill.NewShortUUID(), watermill.NopLogger{}
	config := wamqp.NewDurablePubSubConfig(brokerURL(), wamqp.GenerateQueueNameTopicNameWithSuffix("billing"))
	before, err := wamqp.NewPublisher(config, logger)
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := amqptransport.NewPublisher(config, logger)
	if err != nil {
		fmt.Println(err)
		return
	}
	subscriber, err := amqptransport.NewSubscriber(config, logger) // was wamqp.NewSubscriber(config, logger)
	if err != nil {
		fmt.Println(err)
		return
	}
	messages, err := subscriber.Subscribe(context.Background(), topic)
	if err != nil {
		fmt.Println(err)
		return
	}
	for name, publisher := range map[string]message.Publisher{"before": before, "after": after} {
		if err := publisher.Publish(topic, message.NewMessage(watermill.NewUUID(), []byte(name))); err != nil {
			fmt.Println(err)
			return
		}
	}
	for range 2 {
		msg := <-messages
		fmt.Println("published", string(msg.Payload))
		msg.Ack()
	}
	fmt.Println(before.Close(), after.Close(), subscriber.Close())
	removeMigrated(topic, "billing")
	// Unordered output:
	// published before
	// published after
	// <nil> <nil> <nil>
}
