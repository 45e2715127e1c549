package asynctest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asynctest"
)

// example stands for the *testing.T that a test would hand over.
type example struct{ cleanups []func() }

func (*example) Helper()                           {}
func (*example) Context() context.Context          { return context.Background() }
func (*example) Logf(string, ...any)               {}
func (*example) Errorf(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
func (e *example) Cleanup(f func())                { e.cleanups = append(e.cleanups, f) }

func (e *example) Fatalf(format string, args ...any) {
	e.Errorf(format, args...)
	os.Exit(1)
}

func (e *example) end() {
	for _, cleanup := range slices.Backward(e.cleanups) {
		cleanup()
	}
}

// A handler of an event sends a command; the test looks at what was sent.
func Example() {
	t := new(example) // func TestPlaced(t *testing.T)
	defer t.end()

	rt := asynctest.New(t)
	orders := ordersv1async.NewOrdersPublisher(rt.Runtime)
	err := ordersv1async.NewOrderEventsSubscriber(rt.Runtime).OnPlaced(func(ctx context.Context, order *ordersv1.OrderPlaced) error {
		return orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: order.GetOrderId()})
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	rt.Start()

	err = ordersv1async.NewOrderEventsPublisher(rt.Runtime).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "A-1"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	rt.WaitIdle(time.Second)
	for _, shipped := range asynctest.Published[*ordersv1.ShipRequest](rt) {
		fmt.Println("shipped", shipped.GetOrderId())
	}
	// Output:
	// shipped A-1
}

// Each call of a handler has its verdict. In a bubble of testing/synctest the pauses between them take no time.
func ExampleRuntime_FailNext() {
	t := new(example)
	defer t.end()

	rt := asynctest.New(t)
	err := ordersv1async.NewOrdersSubscriber(rt.Runtime).OnShip(func(context.Context, *ordersv1.ShipRequest) error { return nil })
	if err != nil {
		t.Fatalf("%v", err)
	}
	rt.Start()

	rt.FailNext("acme.orders.v1.Orders/Ship", 1, errors.New("the van is late"))
	err = ordersv1async.NewOrdersPublisher(rt.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	rt.WaitIdle(10 * time.Second)
	for _, attempt := range rt.Attempts() {
		fmt.Println(attempt.Number, attempt.Verdict)
	}
	// Output:
	// 1 the van is late
	// 2 <nil>
}

func ExampleRuntime_FailNextSends() {
	t := new(example)
	defer t.end()

	rt := asynctest.New(t)
	rt.FailNextSends("acme.orders.v1.Orders/Ship", 1, async.ErrBlocked)
	orders := ordersv1async.NewOrdersPublisher(rt.Runtime)
	for range 2 {
		fmt.Println(orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	}
	fmt.Println(len(asynctest.Published[*ordersv1.ShipRequest](rt)), "published")
	// Output:
	// async: send acme.orders.v1.Orders/Ship: the broker takes no messages at present
	// <nil>
	// 1 published
}

// A handler that charges a customer again when a message comes again is not idempotent, and the test finds out.
func ExampleRuntime_DeliverTwice() {
	t := new(example)
	defer t.end()

	rt := asynctest.New(t)
	rt.DeliverTwice()
	charged := 0
	err := ordersv1async.NewOrderEventsSubscriber(rt.Runtime).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error {
		charged++
		return nil
	}, async.WithConcurrency(1))
	if err != nil {
		t.Fatalf("%v", err)
	}
	rt.Start()

	err = ordersv1async.NewOrderEventsPublisher(rt.Runtime).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "A-1"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	rt.WaitIdle(time.Second)
	fmt.Println("charged", charged, "times")
	// Output:
	// charged 2 times
}

func ExampleRuntime_DeadLetters() {
	t := new(example)
	defer t.end()

	rt := asynctest.New(t)
	err := ordersv1async.NewOrdersSubscriber(rt.Runtime).OnShip(func(_ context.Context, req *ordersv1.ShipRequest) error {
		return async.Reject(fmt.Errorf("nobody goes to %s", req.GetOrderId()))
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	rt.Start()

	err = ordersv1async.NewOrdersPublisher(rt.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "Atlantis"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	rt.WaitIdle(time.Second)
	for _, letter := range rt.DeadLetters() {
		fmt.Printf("%s: %s, %s\n", letter.Queue, letter.Reason, letter.Error)
	}
	// Output:
	// acme.orders.v1.Orders.Ship--orders--dead: rejected, nobody goes to Atlantis
}
