package asyncotel_test

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

// A message that has waited for too long is handled in a trace of its own, which links to that of its sender.
func ExampleWithMaxTraceAge() {
	t, err := travel(ship, 0, 1, asyncotel.WithMaxTraceAge(time.Nanosecond), asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree())
	// Output:
	// consumer process acme.orders.v1.Orders.Ship
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship
}

// Six messages, each of which is sent by the handler of the one before, are two traces of three handlers.
func ExampleWithMaxHops() {
	handOn := func(ctx context.Context, t *trip) error {
		if err := t.orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}); err != nil {
			return err
		}
		for left := 5; left >= 0; left-- {
			d, err := t.pulls.ReceiveShip(context.Background())
			if err != nil {
				return err
			}
			if err := d.Process(context.Background(), func(ctx context.Context, msg *ordersv1.ShipRequest) error {
				if left == 0 {
					return nil
				}
				return t.orders.Ship(ctx, msg)
			}); err != nil {
				return err
			}
		}
		return nil
	}
	t, err := travel(handOn, 0, 0, asyncotel.WithMaxHops(3))
	if err != nil {
		fmt.Println(err)
		return
	}
	handlers := make(map[trace.TraceID]int)
	for _, s := range t.named("process") {
		handlers[s.SpanContext().TraceID()]++
	}
	for _, n := range handlers {
		fmt.Println(n, "handlers")
	}
	// Output:
	// 3 handlers
	// 3 handlers
}

func ExampleWithoutMessageID() {
	t, err := travel(ship, 0, 1, asyncotel.WithoutMessageID(), asyncotel.WithoutSettleSpans())
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

// A sender that expects thousands of handlings of one message has each of them begin a trace of its own.
func ExampleContextWithTraceMode() {
	linked := func(ctx context.Context, t *trip) error {
		return ship(asyncotel.ContextWithTraceMode(ctx, async.TraceLink), t)
	}
	t, err := travel(linked, 0, 1, asyncotel.WithoutSettleSpans())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.tree("async.trace.mode"))
	// Output:
	// consumer process acme.orders.v1.Orders.Ship async.trace.mode=link
	// internal order
	//   producer publish acme.orders.v1.Orders.Ship
}
