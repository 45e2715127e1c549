package async_test

import (
	"context"
	"fmt"
	"log"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// A command that was sent twice under one message id is carried out once.
func ExampleDeduplicate() {
	store, err := async.NewMemoryDedupStore(100_000)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	rt, err := async.Open(ctx, async.WithURL("memory://"))
	if err != nil {
		log.Fatal(err)
	}
	shipped := make(chan string, 3)
	err = ordersv1async.NewOrdersSubscriber(rt).OnShip(func(_ context.Context, cmd *ordersv1.ShipRequest) error {
		shipped <- cmd.GetOrderId()
		return nil
	}, async.WithInterceptors(async.Deduplicate(store, 24*time.Hour)))
	if err != nil {
		log.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- rt.Run(ctx) }()

	orders := ordersv1async.NewOrdersPublisher(rt)
	for _, cmd := range []*ordersv1.ShipRequest{
		{OrderId: "order 1", RequestId: "req-1"},
		{OrderId: "order 1", RequestId: "req-1"}, // the caller did not hear of the first one
		{OrderId: "order 2", RequestId: "req-2"},
	} {
		if err := orders.Ship(ctx, cmd); err != nil {
			log.Fatal(err)
		}
	}
	for range 2 {
		fmt.Println("shipped", <-shipped)
	}
	stop()
	if err := <-ran; err != nil {
		log.Fatal(err)
	}
	if err := rt.Close(); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// shipped order 1
	// shipped order 2
}
