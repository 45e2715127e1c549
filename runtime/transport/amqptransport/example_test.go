package amqptransport_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

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

// A Router keeps its handlers, its middlewares and its plugins: only the constructors of publisher and subscriber change. With a
// prefetch the Router handles as many messages at a time.
func ExampleNewSubscriber() {
	orders, invoices := "orders."+watermill.NewShortUUID(), "invoices."+watermill.NewShortUUID()
	logger := watermill.NopLogger{}
	config := wamqp.NewDurableQueueConfig(brokerURL() + "?heartbeat=10&connection_timeout=5000")
	config.Consume.Qos.PrefetchCount = 16
	publisher, err := amqptransport.NewPublisher(config, logger) // was wamqp.NewPublisher(config, logger)
	if err != nil {
		fmt.Println(err)
		return
	}
	subscriber, err := amqptransport.NewSubscriber(config, logger) // was wamqp.NewSubscriber(config, logger)
	if err != nil {
		fmt.Println(err)
		return
	}
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		fmt.Println(err)
		return
	}
	router.AddMiddleware(middleware.Retry{MaxRetries: 3, InitialInterval: time.Millisecond}.Middleware, middleware.CorrelationID)
	attempts := 0
	router.AddHandler("bill", orders, subscriber, invoices, publisher, func(msg *message.Message) ([]*message.Message, error) {
		if attempts++; attempts == 1 {
			return nil, errors.New("the till is jammed")
		}
		return message.Messages{message.NewMessage(watermill.NewUUID(), []byte("invoice for "+string(msg.Payload)))}, nil
	})
	done := make(chan struct{})
	router.AddConsumerHandler("print", invoices, subscriber, func(msg *message.Message) error {
		fmt.Println(string(msg.Payload), "of order", middleware.MessageCorrelationID(msg))
		close(done)
		return nil
	})
	stopped := make(chan error, 1)
	go func() { stopped <- router.Run(context.Background()) }()
	<-router.Running()
	order := message.NewMessage(watermill.NewUUID(), []byte("two apples"))
	middleware.SetCorrelationID("7", order)
	if err := publisher.Publish(orders, order); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	fmt.Println(router.Close(), <-stopped, publisher.Close(), subscriber.Close())
	removeMigrated(orders, "")
	removeMigrated(invoices, "")
	// Output:
	// invoice for two apples of order 7
	// <nil> <nil> <nil> <nil>
}
