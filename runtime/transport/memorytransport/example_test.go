package memorytransport_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

func Example() {
	ctx := context.Background()
	tr := memorytransport.New()
	defer func() { _ = tr.Close(ctx) }()

	sub, err := tr.Subscriber(transport.Subscription{Group: "billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	messages, err := sub.Subscribe(ctx, "orders.Placed")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := tr.Publisher().Publish("orders.Placed", message.NewMessage("1", []byte("three apples"))); err != nil {
		fmt.Println(err)
		return
	}
	msg := <-messages
	fmt.Println(string(msg.Payload))
	msg.Ack()
	// Output: three apples
}

// A queue collects messages while it has no consumer, and can be looked into.
func ExampleTransport_Take() {
	ctx := context.Background()
	tr := memorytransport.New()
	defer func() { _ = tr.Close(ctx) }()

	if err := tr.Declare(ctx, transport.Subscription{Topic: "orders.Placed", Group: "billing"}); err != nil {
		fmt.Println(err)
		return
	}
	if err := tr.Publisher().Publish("orders.Placed", message.NewMessage("1", nil), message.NewMessage("2", nil)); err != nil {
		fmt.Println(err)
		return
	}
	taken, err := tr.Take(ctx, transport.QueueName("orders.Placed", "billing"), 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range taken {
		fmt.Println(d.Message().UUID)
		d.Settle(transport.Requeue, nil)
	}
	// Output:
	// 1
	// 2
}
