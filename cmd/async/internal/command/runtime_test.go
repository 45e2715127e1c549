package command_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// A message that failed for good, replayed while its service runs, is handled like a new one.
func TestReplayReachesTheHandler(t *testing.T) {
	t.Parallel()
	type handled struct {
		ID, Order, Tenant string
		Attempt           int
	}
	b := inMemory(t)
	rt, err := async.Open(t.Context(), async.WithURL(b.url), async.WithApp("billing"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	calls := make(chan handled, 10)
	var repaired atomic.Bool
	subscriber := ordersv1async.NewOrdersSubscriber(rt)
	if err := subscriber.OnShip(func(ctx context.Context, msg *ordersv1.ShipRequest) error {
		info, _ := async.InfoFrom(ctx)
		failing := !repaired.Load()
		calls <- handled{info.ID, msg.GetOrderId(), info.Headers.First("tenant"), info.Attempt}
		if failing {
			return errors.New("no stock")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- rt.Run(ctx) }()
	<-rt.Ready()
	publisher := ordersv1async.NewOrdersPublisher(rt)
	if err := publisher.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "7", RequestId: "r-7"}, async.WithHeader("tenant", "acme")); err != nil {
		t.Fatal(err)
	}
	for attempt := 1; attempt <= 3; attempt++ {
		if diff := cmp.Diff(handled{"r-7", "7", "acme", attempt}, <-calls); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	dead := ordersv1async.OrdersShipTopic + "--orders--dead"
	eventually(t, "it is a dead letter", func() bool { return b.count(dead) == 1 })
	repaired.Store(true)
	b.ok("dead", "replay", "--topic", ordersv1async.OrdersShipTopic, "--group", "orders")
	if diff := cmp.Diff(handled{"r-7", "7", "acme", 1}, <-calls); diff != "" {
		t.Errorf("after the replay (-want +got):\n%s", diff)
	}
	eventually(t, "nothing is left", func() bool { return b.count(dead) == 0 })
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
