package amqptransport_test

import (
	"context"
	"log"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// A team that has its own rules for the names of exchanges opens the transport by itself and gives it to the runtime.
func ExampleWithConfig() {
	c, err := transport.ParseURL("amqp://guest:guest@127.0.0.1:5672/shop?heartbeat=5s")
	if err != nil {
		log.Fatal(err)
	}
	tr, err := amqptransport.Open(context.Background(), c, amqptransport.WithConfig(func(c *wamqp.Config) {
		c.Exchange.GenerateName = func(topic string) string { return "events." + topic }
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = tr.Close(context.Background()) }()
}
