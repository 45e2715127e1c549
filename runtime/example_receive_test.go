package async_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// await waits for a condition of an example.
func waitFor(condition func() bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		<-tick.C
	}
}

// Push: the handler is called when a message arrives.
func ExampleSubscriber_On() {
	rt := open()
	done := make(chan struct{})
	check(ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(_ context.Context, order *ordersv1.OrderPlaced) error {
		defer close(done)
		fmt.Println("placed", order.GetOrderId())
		return nil
	}))
	defer start(rt)()
	check(ordersv1async.NewOrderEventsPublisher(rt).Placed(context.Background(), &ordersv1.OrderPlaced{OrderId: "A-1"}))
	<-done
	// Output:
	// placed A-1
}

// Pull: Receive waits for the next message, without Run; the caller settles it.
func ExampleSubscriber_Receive() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}))

	delivery, err := ordersv1async.NewOrdersSubscriber(rt).ReceiveShip(ctx)
	check(err)
	fmt.Println(delivery.Msg.GetOrderId(), delivery.Info().Attempt)
	fmt.Println(delivery.Settle(ctx, nil))
	fmt.Println(delivery.Settle(ctx, nil))
	// Output:
	// A-1 1
	// <nil>
	// async: settle acme.orders.v1.Orders/Ship: the delivery was settled before
}

// A loop over All that ends gives back what it has not seen.
func ExampleSubscriber_All() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	check(ordersv1async.NewOrdersPublisher(rt).ShipBatch(ctx, []*ordersv1.ShipRequest{{OrderId: "A-1"}, {OrderId: "A-2"}, {OrderId: "A-3"}}))

	for delivery, err := range ordersv1async.NewOrdersSubscriber(rt).AllShip(ctx) {
		check(err)
		fmt.Println(delivery.Msg.GetOrderId())
		check(delivery.Settle(ctx, nil))
		if delivery.Msg.GetOrderId() == "A-2" {
			break
		}
	}
	// Output:
	// A-1
	// A-2
}

// Process is a handler for one pulled message: its error is the verdict.
func ExampleDelivery_Process() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}))
	subscriber := ordersv1async.NewOrdersSubscriber(rt)
	for range 2 {
		delivery, err := subscriber.ReceiveShip(ctx)
		check(err)
		err = delivery.Process(ctx, func(ctx context.Context, req *ordersv1.ShipRequest) error {
			if info, _ := async.InfoFrom(ctx); info.Attempt == 1 {
				return errors.New("the van is late")
			}
			return nil
		})
		fmt.Println(err)
	}
	// Output:
	// the van is late
	// <nil>
}

// A batch handler settles the entries that differ; what it returns is the verdict on the others.
func ExampleSubscriber_OnBatch() {
	rt := open()
	done := make(chan struct{})
	err := ordersv1async.NewOrdersSubscriber(rt).OnShipBatch(func(ctx context.Context, batch []*async.Delivery[*ordersv1.ShipRequest]) error {
		defer close(done)
		for _, delivery := range batch {
			fmt.Println(delivery.Msg.GetOrderId())
			if delivery.Msg.GetOrderId() == "" {
				check(delivery.Settle(ctx, async.Reject(errors.New("no order"))))
			}
		}
		return nil
	}, async.WithBatch(3, time.Minute))
	check(err)
	defer start(rt)()
	check(ordersv1async.NewOrdersPublisher(rt).ShipBatch(context.Background(), []*ordersv1.ShipRequest{{OrderId: "A-1"}, {}, {OrderId: "A-3"}}))
	<-done
	// Output:
	// A-1
	//
	// A-3
}

// Trying again would not help: the message is a dead letter at once.
func ExampleReject() {
	rt := open()
	check(ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
		return async.Reject(errors.New("nobody goes to Atlantis"))
	}))
	defer start(rt)()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	waitFor(func() bool { return rt.Stats().DeadLettered == 1 })
	fmt.Println("dead letters:", rt.Stats().DeadLettered, "retries:", rt.Stats().Retried)
	// Output:
	// dead letters: 1 retries: 0
}

// The handler knows when to try again.
func ExampleRetryAfter() {
	rt := open()
	attempts := make(chan int)
	check(ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error {
		info, _ := async.InfoFrom(ctx)
		attempts <- info.Attempt
		if info.Attempt == 1 {
			return async.RetryAfter(time.Millisecond, errors.New("the ferry leaves soon"))
		}
		return nil
	}))
	defer start(rt)()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	fmt.Println("attempt", <-attempts)
	fmt.Println("attempt", <-attempts)
	// Output:
	// attempt 1
	// attempt 2
}

// The message is of no use any more: it is forgotten and counted.
func ExampleDrop() {
	rt := open()
	check(ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
		return async.Drop("the order was cancelled")
	}))
	defer start(rt)()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	waitFor(func() bool { return rt.Stats().Dropped == 1 })
	fmt.Println("dropped:", rt.Stats().Dropped)
	// Output:
	// dropped: 1
}

// Every group gets each event; the consumers of one group share them.
func ExampleWithGroup() {
	rt := open()
	heard := make(chan string)
	events := ordersv1async.NewOrderEventsSubscriber(rt)
	for _, group := range []string{"billing", "mail"} {
		check(events.OnPlaced(func(ctx context.Context, _ *ordersv1.OrderPlaced) error {
			heard <- group
			return nil
		}, async.WithGroup(group)))
	}
	defer start(rt)()
	check(ordersv1async.NewOrderEventsPublisher(rt).Placed(context.Background(), &ordersv1.OrderPlaced{OrderId: "A-1"}))
	fmt.Println(<-heard)
	fmt.Println(<-heard)
	// Unordered output:
	// billing
	// mail
}

// Every process gets each event, from its start to its end: to clear a cache, for example.
func ExampleWithBroadcast() {
	heard := make(chan string)
	for _, process := range []string{"first", "second"} {
		rt := open(async.WithURL("memory://example-broadcast"))
		check(ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error {
			heard <- process
			return nil
		}, async.WithBroadcast()))
		defer start(rt)()
	}
	rt := open(async.WithURL("memory://example-broadcast"))
	defer rt.Close()
	check(ordersv1async.NewOrderEventsPublisher(rt).Placed(context.Background(), &ordersv1.OrderPlaced{OrderId: "A-1"}))
	fmt.Println(<-heard)
	fmt.Println(<-heard)
	// Unordered output:
	// first
	// second
}

func ExampleInfoFrom() {
	rt := open()
	done := make(chan struct{})
	check(ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(ctx context.Context, _ *ordersv1.OrderPlaced) error {
		defer close(done)
		info, _ := async.InfoFrom(ctx)
		fmt.Println(info.RPC, info.ID)
		fmt.Println(info.Topic, info.Group, info.Key)
		fmt.Println("attempt", info.Attempt, "of", info.MaxAttempts)
		fmt.Println(info.Headers)
		return nil
	}))
	defer start(rt)()
	order := &ordersv1.OrderPlaced{OrderId: "A-1", Tenant: "blue"}
	check(ordersv1async.NewOrderEventsPublisher(rt).Placed(context.Background(), order, async.WithMessageID("placed-A-1")))
	<-done
	// Output:
	// acme.orders.v1.OrderEvents/Placed placed-A-1
	// acme.orders.v1.OrderEvents.Placed shop A-1
	// attempt 1 of 8
	// map[tenant:[blue]]
}

// Watermill's middlewares wrap each delivery on its wire form.
func ExampleWithWatermillMiddleware() {
	measure := func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			fmt.Println(msg.Metadata["ce-type"], len(msg.Payload), "bytes")
			return next(msg)
		}
	}
	rt := open(async.WithWatermillMiddleware(measure))
	done := make(chan struct{})
	check(ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
		close(done)
		return nil
	}))
	defer start(rt)()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	<-done
	// Output:
	// acme.orders.v1.ShipRequest 5 bytes
}

// The registered handlers run on a Watermill router, with its plugins and its semantics.
func ExampleRuntime_MountOn() {
	rt := open()
	defer rt.Close()
	done := make(chan struct{})
	check(ordersv1async.NewOrdersSubscriber(rt).OnShip(func(_ context.Context, req *ordersv1.ShipRequest) error {
		defer close(done)
		fmt.Println("shipped", req.GetOrderId())
		return nil
	}))
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	check(rt.MountOn(router))

	ended := make(chan error)
	go func() { ended <- router.Run(context.Background()) }()
	<-router.Running()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	<-done
	check(errors.Join(router.Close(), <-ended))
	// Output:
	// shipped A-1
}
