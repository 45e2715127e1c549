package asyncotel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

func ExampleWithoutCreateSpans() {
	batch := func(ctx context.Context, t *trip) error {
		return t.orders.ShipBatch(ctx, []*ordersv1.ShipRequest{{OrderId: "A-1"}, {OrderId: "A-2"}})
	}
	t, err := travel(batch, 0, 2, asyncotel.WithoutCreateSpans(), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("messaging.batch.message_count"))
	// Output:
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship messaging.batch.message_count=2
	//     consumer process acme.orders.v1.Orders.Ship
	//     consumer process acme.orders.v1.Orders.Ship
}

func ExampleWithoutRequestRPCSpan() {
	quote := func(ctx context.Context, t *trip) error {
		_, err := ordersv1async.NewOrdersClient(t.rt).Quote(ctx, &ordersv1.QuoteRequest{})
		if errors.Is(err, async.ErrUnroutable) {
			return nil // nobody answers here
		}
		return err
	}
	t, err := travel(quote, 0, 0, asyncotel.WithoutRequestRPCSpan())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree())
	// Output:
	// internal order
	//   producer request acme.orders.v1.Orders.Quote
}

func ExampleWithAttemptSpans() {
	t, err := travel(ship, 1, 2, asyncotel.WithAttemptSpans(), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("async.attempt", "error.type"))
	// Output:
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship
	//     consumer process acme.orders.v1.Orders.Ship
	//       internal attempt async.attempt=1 error.type=*errors.errorString
	//       internal attempt async.attempt=2
}

func ExampleWithQueueSpans() {
	t, err := travel(ship, 0, 1, asyncotel.WithQueueSpans(), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree())
	// Output:
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship
	//     consumer process acme.orders.v1.Orders.Ship
	//     internal queue acme.orders.v1.Orders.Ship
}

func ExampleWithEmptyReceiveSpans() {
	look := func(ctx context.Context, t *trip) error {
		ctx, enough := context.WithCancel(ctx)
		enough()
		_, err := t.pulls.ReceiveShip(ctx)
		if errors.Is(err, context.Canceled) {
			return nil // there was nothing
		}
		return err
	}
	t, err := travel(look, 0, 0, asyncotel.WithEmptyReceiveSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("error.type"))
	// Output:
	// internal order
	//   client receive acme.orders.v1.Orders.Ship
}

func ExampleWithMessageSize() {
	t, err := travel(ship, 0, 1, asyncotel.WithMessageSize(), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("messaging.message.body.size"))
	// Output:
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship messaging.message.body.size=5
	//     consumer process acme.orders.v1.Orders.Ship messaging.message.body.size=5
}

func ExampleWithHeaders() {
	t, err := travel(ship, 0, 1, asyncotel.WithHeaders("Tenant"), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("async.header.tenant"))
	// Output:
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship async.header.tenant=["acme"]
	//     consumer process acme.orders.v1.Orders.Ship async.header.tenant=["acme"]
}

func ExampleWithAttributes() {
	t, err := travel(ship, 0, 1, asyncotel.WithAttributes(attribute.String("cell", "eu-1")), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("cell"))
	// Output:
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship cell=eu-1
	//     consumer process acme.orders.v1.Orders.Ship cell=eu-1
}

func ExampleWithAttributeFilter() {
	without := func(_ *async.Spec, a attribute.KeyValue) bool { return a.Key != "messaging.message.id" }
	t, err := travel(ship, 0, 1, asyncotel.WithAttributeFilter(without), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("messaging.message.id", "async.send.mode"))
	// Output:
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship async.send.mode=sync
	//     consumer process acme.orders.v1.Orders.Ship
}

func ExampleWithFilter() {
	busy := func(_ context.Context, spec *async.Spec) bool { return spec.Method != "Ship" }
	t, err := travel(ship, 0, 1, asyncotel.WithFilter(busy))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree())
	// Output:
	// internal order
}

func ExampleWithDestinationTemplate() {
	tenants := func(_ *async.Spec, destination string) string {
		service, method, _ := strings.Cut(destination, ".Orders.")
		return service + ".{service}." + method
	}
	t, err := travel(ship, 0, 1, asyncotel.WithDestinationTemplate(tenants), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("messaging.destination.name"))
	// Output:
	// internal order
	//   producer publish acme.orders.v1.{service}.Ship messaging.destination.name=acme.orders.v1.Orders.Ship
	//     consumer process acme.orders.v1.{service}.Ship messaging.destination.name=acme.orders.v1.Orders.Ship
}
