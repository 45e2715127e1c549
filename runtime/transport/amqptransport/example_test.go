package amqptransport_test

import (
	"context"
	"fmt"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"

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
