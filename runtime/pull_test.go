package async_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// pulling opens a subscriber whose subscription is there before the first message, also where groups do not stand by
// themselves.
func pulling(t *testing.T, rt *async.Runtime) *ordersv1async.OrdersSubscriber {
	t.Helper()
	sub := ordersv1async.NewOrdersSubscriber(rt)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := sub.ReceiveShip(ctx)
	wantErr(t, err, context.DeadlineExceeded)
	return sub
}

func TestPullWithoutRun(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		sub := pulling(t, rt)
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1", RequestId: "req"}))
		d, err := sub.ReceiveShip(t.Context())
		must(t, err)
		if d.Msg.GetOrderId() != "1" || d.Info().ID != "req" || d.Info().Attempt != 1 {
			t.Errorf("got %v, %+v", d.Msg, d.Info())
		}
		if info, ok := async.InfoFrom(d.Context()); !ok || info != d.Info() || d.Context().Err() != nil {
			t.Error("the delivery's context lives and holds its Info")
		}
		must(t, d.Settle(t.Context(), nil))
		wantErr(t, context.Cause(d.Context()), async.ErrSettled)
		wantErr(t, d.Settle(t.Context(), nil), async.ErrSettled)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = sub.ReceiveShip(ctx)
		wantErr(t, err, context.DeadlineExceeded)
	})
}

func TestAPulledVerdictIsAHandlersVerdict(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		sub := pulling(t, rt)
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		for attempt := 1; attempt <= 2; attempt++ {
			d, err := sub.ReceiveShip(t.Context())
			must(t, err)
			if d.Info().Attempt != attempt {
				t.Errorf("attempt %d, want %d", d.Info().Attempt, attempt)
			}
			must(t, d.Settle(t.Context(), errors.New("not yet")))
		}
		d, err := sub.ReceiveShip(t.Context())
		must(t, err)
		boom := errors.New("boom")
		err = d.Process(t.Context(), func(ctx context.Context, msg *ordersv1.ShipRequest) error {
			if info, ok := async.InfoFrom(ctx); !ok || info.Attempt != 3 || msg.GetOrderId() != "1" {
				t.Errorf("got %v, %+v", msg, info)
			}
			return boom
		})
		wantErr(t, err, boom)
		eventually(t, "the third failure is the last", func() bool { return rt.Stats().DeadLettered == 1 })
	})
}

func TestALoopOverAllGivesBackWhatItDidNotYield(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		sub := pulling(t, rt)
		orders := ordersv1async.NewOrdersPublisher(rt)
		const n = 6
		for i := range n {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: fmt.Sprint(i)}))
		}
		seen := map[string]int{}
		var held *async.Delivery[*ordersv1.ShipRequest]
		for d, err := range sub.AllShip(t.Context()) {
			must(t, err)
			if held != nil {
				seen[d.Msg.GetOrderId()]++
				must(t, d.Settle(t.Context(), nil))
				break
			}
			held = d
		}
		// What was yielded is still the caller's.
		must(t, held.Settle(t.Context(), nil))
		seen[held.Msg.GetOrderId()]++
		if w.caps.Redelivery == transport.None {
			return
		}
		for len(seen) < n {
			d, err := sub.ReceiveShip(t.Context())
			must(t, err)
			if d.Info().Attempt != 1 {
				t.Errorf("giving back counted as attempt: %d", d.Info().Attempt)
			}
			seen[d.Msg.GetOrderId()]++
			must(t, d.Settle(t.Context(), nil))
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("%s came %d times", id, times)
			}
		}
	})
}

func TestAnUnsettledDeliveryComesBackAfterClose(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		first := w.open(t, async.WithDrainTimeout(200*time.Millisecond))
		sub := pulling(t, first)
		must(t, ordersv1async.NewOrdersPublisher(first).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		d, err := sub.ReceiveShip(t.Context())
		must(t, err)
		second := w.open(t)
		if w.caps.Redelivery == transport.None {
			return
		}
		_ = first.Close()
		if err := d.Settle(t.Context(), nil); err == nil {
			t.Error("a delivery cannot be settled after Close")
		}
		again, err := ordersv1async.NewOrdersSubscriber(second).ReceiveShip(t.Context())
		must(t, err)
		if again.Msg.GetOrderId() != "1" || again.Info().Attempt != 1 {
			t.Errorf("got %v, attempt %d", again.Msg, again.Info().Attempt)
		}
		must(t, again.Settle(t.Context(), nil))
	})
}

func TestABatchHandlerSettlesEachEntry(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		sizes := make(chan int, 100)
		done := make(chan string, 100)
		err := ordersv1async.NewOrdersSubscriber(rt).OnShipBatch(func(ctx context.Context, batch []*async.Delivery[*ordersv1.ShipRequest]) error {
			sizes <- len(batch)
			for _, d := range batch {
				switch id := d.Msg.GetOrderId(); {
				case id == "bad":
					must(t, d.Settle(ctx, async.Reject(errors.New("bad"))))
				case id == "shy" && d.Info().Attempt == 1:
					must(t, d.Settle(ctx, errors.New("again")))
				default:
					done <- id
				}
			}
			return nil
		}, async.WithBatch(4, 50*time.Millisecond))
		must(t, err)
		run(t, rt)
		orders := ordersv1async.NewOrdersPublisher(rt)
		for _, id := range []string{"1", "bad", "2", "shy", "3", "4", "5"} {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: id}))
		}
		seen := map[string]bool{}
		for range 6 {
			seen[next(t, done)] = true
		}
		for _, id := range []string{"1", "2", "3", "4", "5", "shy"} {
			if !seen[id] {
				t.Errorf("%s was not handled", id)
			}
		}
		eventually(t, "the bad one is kept", func() bool { return rt.Stats().DeadLettered == 1 })
		for len(sizes) > 0 {
			if n := <-sizes; n < 1 || n > 4 {
				t.Errorf("a batch of %d", n)
			}
		}
	})
}

func TestABatchHandlersErrorCountsForTheUnsettled(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		calls := make(chan int, 100)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShipBatch(func(ctx context.Context, batch []*async.Delivery[*ordersv1.ShipRequest]) error {
			must(t, batch[0].Settle(ctx, nil))
			calls <- len(batch)
			if batch[0].Info().Attempt == 1 {
				panic("the rest fails")
			}
			return nil
		}, async.WithBatch(3, 200*time.Millisecond)))
		run(t, rt)
		must(t, ordersv1async.NewOrdersPublisher(rt).ShipBatch(t.Context(), []*ordersv1.ShipRequest{{OrderId: "1"}, {OrderId: "2"}, {OrderId: "3"}}))
		eventually(t, "two are tried again", func() bool { return rt.Stats().Retried >= 2 || rt.Stats().Retried >= 1 && len(calls) >= 2 })
	})
}
