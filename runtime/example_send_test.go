package async_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// A send returns when the broker has stored the message. A command waits in its queue for its handler.
func ExamplePublisher_Send() {
	rt := open()
	defer rt.Close()
	orders := ordersv1async.NewOrdersPublisher(rt)
	err := orders.Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"})
	fmt.Println("stored:", err == nil)
	// Output:
	// stored: true
}

// The asynchronous form returns at once; the message may be reused.
func ExamplePublisher_SendAsync() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	orders := ordersv1async.NewOrdersPublisher(rt)

	msg := &ordersv1.ShipRequest{}
	var receipts []*async.Receipt
	for _, id := range []string{"A-1", "A-2", "A-3"} {
		msg.OrderId = id
		receipts = append(receipts, orders.ShipAsync(ctx, msg))
	}
	for _, receipt := range receipts {
		fmt.Println(receipt.Wait(ctx))
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
}

// A batch tells the fate of each message.
func ExamplePublisher_SendBatch() {
	rt := open()
	defer rt.Close()
	orders := ordersv1async.NewOrdersPublisher(rt)
	err := orders.ShipBatch(context.Background(), []*ordersv1.ShipRequest{
		{OrderId: "A-1", RequestId: "request-1"},
		{OrderId: "A-2", RequestId: "not an id"},
		{OrderId: "A-3", RequestId: "request-3"},
	})
	if batch, ok := errors.AsType[*async.BatchError](err); ok {
		for i, err := range batch.Errs {
			fmt.Println(i, err == nil, errors.Is(err, async.ErrInvalid))
		}
	}
	// Output:
	// 0 true false
	// 1 false true
	// 2 true false
}

// Each gives every message of a batch options of its own.
func ExampleEach() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	msgs := []*ordersv1.ShipRequest{{OrderId: "A-1"}, {OrderId: "A-2"}}
	check(ordersv1async.NewOrdersPublisher(rt).ShipBatch(ctx, msgs, async.Each(func(i int) []async.SendOption {
		return []async.SendOption{async.WithMessageID("ship-" + msgs[i].GetOrderId())}
	})))

	subscriber := ordersv1async.NewOrdersSubscriber(rt)
	for range msgs {
		delivery, err := subscriber.ReceiveShip(ctx)
		check(err)
		fmt.Println(delivery.Info().ID)
		check(delivery.Settle(ctx, nil))
	}
	// Output:
	// ship-A-1
	// ship-A-2
}

func ExampleReceipt() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	receipt := ordersv1async.NewOrdersPublisher(rt).ShipAsync(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}, async.WithMessageID("ship-A-1"))
	<-receipt.Done()
	fmt.Println(receipt.ID(), receipt.Err())
	// Output:
	// ship-A-1 <nil>
}

func ExampleReceipt_Then() {
	rt := open()
	orders := ordersv1async.NewOrdersPublisher(rt)
	check(rt.Close())
	orders.ShipAsync(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}).Then(func(err error) {
		fmt.Println(errors.Is(err, async.ErrClosed))
	})
	// Output:
	// true
}

// Beside its receipt, every asynchronous send that fails is seen in one place.
func ExampleWithSendErrorFunc() {
	rt := open(async.WithSendErrorFunc(func(spec *async.Spec, messageID string, err error) {
		fmt.Println(spec.Name(), messageID, errors.Is(err, async.ErrTooLarge))
	}))
	defer rt.Close()
	huge := &ordersv1.ShipRequest{OrderId: string(make([]byte, 2<<20))}
	ordersv1async.NewOrdersPublisher(rt).ShipAsync(context.Background(), huge, async.WithMessageID("huge"))
	// Output:
	// acme.orders.v1.Orders/Ship huge true
}

func ExampleWithDelay() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}, async.WithDelay(20*time.Millisecond)))
	sent := time.Now()
	delivery, err := ordersv1async.NewOrdersSubscriber(rt).ReceiveShip(ctx)
	check(err)
	fmt.Println(delivery.Msg.GetOrderId(), time.Since(sent) >= 10*time.Millisecond)
	check(delivery.Settle(ctx, nil))
	// Output:
	// A-1 true
}

// The instant may be any time in the next 7 days; one that has passed is no delay.
func ExampleWithDeliverAt() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	orders := ordersv1async.NewOrdersPublisher(rt)
	instant := time.Now().Add(20 * time.Millisecond)
	check(orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}, async.WithDeliverAt(instant)))
	delivery, err := ordersv1async.NewOrdersSubscriber(rt).ReceiveShip(ctx)
	check(err)
	fmt.Println(delivery.Msg.GetOrderId(), time.Now().Before(instant))
	check(delivery.Settle(ctx, nil))

	err = orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-2"}, async.WithDeliverAt(instant.AddDate(0, 0, 8)))
	fmt.Println(errors.Is(err, async.ErrTooLarge))
	// Output:
	// A-1 false
	// true
}

// A send that shall not wait for room is refused, and the message is stored nowhere.
func ExampleWithNoWait() {
	rt := open(async.WithTransport(memorytransport.New(memorytransport.WithCapacity(1))))
	defer rt.Close()
	ctx := context.Background()
	orders := ordersv1async.NewOrdersPublisher(rt)
	for _, id := range []string{"A-1", "A-2"} {
		err := orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: id}, async.WithNoWait())
		fmt.Println(id, errors.Is(err, async.ErrBacklog))
	}
	// Output:
	// A-1 false
	// A-2 true
}

// A message that nobody has handled in its time is dropped, and counted where it is dropped.
func ExampleWithTTL() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	orders := ordersv1async.NewOrdersPublisher(rt)
	check(orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "stale"}, async.WithTTL(time.Nanosecond)))
	check(orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "fresh"}, async.WithTTL(time.Hour)))
	delivery, err := ordersv1async.NewOrdersSubscriber(rt).ReceiveShip(ctx)
	check(err)
	fmt.Println(delivery.Msg.GetOrderId())
	check(delivery.Settle(ctx, nil))
	// Output:
	// fresh
}

// The key comes from the field that the contract annotates, unless it is set for one send.
func ExampleWithKey() {
	rt := open()
	ctx := context.Background()
	keys := make(chan string)
	check(ordersv1async.NewOrderEventsSubscriber(rt).OnMoved(func(ctx context.Context, _ *ordersv1.OrderMoved) error {
		info, _ := async.InfoFrom(ctx)
		keys <- info.Key
		return nil
	}))
	defer start(rt)()
	events := ordersv1async.NewOrderEventsPublisher(rt)
	check(events.Moved(ctx, &ordersv1.OrderMoved{Order: 17}))
	fmt.Println(<-keys)
	check(events.Moved(ctx, &ordersv1.OrderMoved{Order: 17}, async.WithKey("warehouse 3")))
	fmt.Println(<-keys)
	// Output:
	// 17
	// warehouse 3
}

// A message that is sent again with its old id is known to be the same one.
func ExampleWithMessageID() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	orders := ordersv1async.NewOrdersPublisher(rt)
	check(orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}, async.WithMessageID("ship-A-1")))
	delivery, err := ordersv1async.NewOrdersSubscriber(rt).ReceiveShip(ctx)
	check(err)
	fmt.Println(delivery.Info().ID)
	check(delivery.Settle(ctx, nil))
	fmt.Println(orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}, async.WithMessageID("A/1")))
	// Output:
	// ship-A-1
	// async: send acme.orders.v1.Orders/Ship: WithMessageID: invalid message: message id "A/1": use letters, digits, '_' and '-', 1 to 64 of them
}

func ExampleWithHeader() {
	rt := open()
	defer rt.Close()
	ctx := context.Background()
	err := ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"},
		async.WithHeader("carrier", "pigeon"), async.WithHeader("color", "grey"), async.WithHeader("color", "white"))
	check(err)
	delivery, err := ordersv1async.NewOrdersSubscriber(rt).ReceiveShip(ctx)
	check(err)
	headers := delivery.Info().Headers
	fmt.Println(headers.First("carrier"), headers["color"])
	check(delivery.Settle(ctx, nil))
	// Output:
	// pigeon [grey white]
}
