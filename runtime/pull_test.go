package async_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	findNothing(t, sub)
	return sub
}

// findNothing begins to consume, and finds the queue empty.
func findNothing(t *testing.T, sub *ordersv1async.OrdersSubscriber) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := sub.ReceiveShip(ctx)
	wantErr(t, err, context.DeadlineExceeded)
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
		findNothing(t, sub)
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
		type entry struct {
			id      string
			attempt int
		}
		seen, settled := make(chan entry, 100), make(chan string, 10)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShipBatch(func(ctx context.Context, batch []*async.Delivery[*ordersv1.ShipRequest]) error {
			for _, d := range batch {
				seen <- entry{d.Msg.GetOrderId(), d.Info().Attempt}
			}
			if batch[0].Info().Attempt > 1 {
				return nil
			}
			must(t, batch[0].Settle(ctx, nil))
			settled <- batch[0].Msg.GetOrderId()
			panic("the rest fails")
		}, async.WithBatch(3, time.Second)))
		stop := run(t, rt)
		must(t, ordersv1async.NewOrdersPublisher(rt).ShipBatch(t.Context(), []*ordersv1.ShipRequest{{OrderId: "1"}, {OrderId: "2"}, {OrderId: "3"}}))
		attempts := map[string][]int{}
		for range 5 { // three, of which two come again
			e := next(t, seen)
			attempts[e.id] = append(attempts[e.id], e.attempt)
		}
		stop()
		want := map[string][]int{"1": {1, 2}, "2": {1, 2}, "3": {1, 2}}
		want[next(t, settled)] = []int{1}
		if diff := cmp.Diff(want, attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if s := rt.Stats(); s.Retried != 2 || s.DeadLettered != 0 || len(seen) != 0 {
			t.Errorf("%+v, and %d more came", s, len(seen))
		}
	})
}

func TestAPausedPullerSaysSo(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		const name = "acme.orders.v1.Orders/Ship"
		rt := w.open(t)
		sub := pulling(t, rt)
		ended := make(chan error, 2)
		go func() {
			_, err := sub.ReceiveShip(t.Context())
			ended <- err
		}()
		go func() {
			for _, err := range sub.AllShip(t.Context()) {
				ended <- err
			}
		}()
		select {
		case err := <-ended:
			t.Fatalf("a pull ended before the pause: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		must(t, rt.Pause(name))
		for range 2 {
			if err := next(t, ended); !errors.Is(err, async.ErrPaused) || errors.Is(err, async.ErrClosed) {
				t.Errorf("a pull that waited ended with %v", err)
			}
		}
		_, err := sub.ReceiveShip(t.Context())
		wantErr(t, err, async.ErrPaused)
		h := rt.Health(t.Context())
		must(t, h.Err())
		wantErr(t, h.Bindings[0].Paused, async.ErrPaused)

		must(t, rt.Resume(name))
		findNothing(t, sub)
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		d, err := sub.ReceiveShip(t.Context())
		must(t, err)
		must(t, d.Settle(t.Context(), nil))

		go func() {
			_, err := sub.ReceiveShip(t.Context())
			ended <- err
		}()
		must(t, rt.Shutdown(t.Context()))
		wantErr(t, next(t, ended), async.ErrClosed)
		_, err = sub.ReceiveShip(t.Context())
		wantErr(t, err, async.ErrClosed)
	})
}

func TestThePauseOfAnUnimplementedPullNamesItsReason(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		sub := pulling(t, rt)
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		d, err := sub.ReceiveShip(t.Context())
		must(t, err)
		must(t, d.Settle(t.Context(), async.ErrUnimplemented))
		_, err = sub.ReceiveShip(t.Context())
		wantErr(t, err, async.ErrPaused)
		wantErr(t, err, async.ErrUnimplemented)
	})
}

func TestTheEndOfALoopOverAllEndsNobodyElsesPull(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		sub := pulling(t, rt)
		orders := ordersv1async.NewOrdersPublisher(rt)
		got, failed := make(chan string, 2), make(chan error, 2)
		take := func(d *async.Delivery[*ordersv1.ShipRequest], err error) {
			if err != nil {
				failed <- err
				return
			}
			got <- d.Msg.GetOrderId()
			if err := d.Settle(t.Context(), nil); err != nil {
				failed <- err
			}
		}
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		for d, err := range sub.AllShip(t.Context()) {
			must(t, err)
			// These two wait while the loop ends.
			go func() { take(sub.ReceiveShip(t.Context())) }()
			go func() {
				for d, err := range sub.AllShip(t.Context()) {
					take(d, err)
					return
				}
			}()
			select {
			case err := <-failed:
				t.Fatal(err)
			case <-time.After(50 * time.Millisecond):
			}
			must(t, d.Settle(t.Context(), nil))
			break
		}
		// Where groups do not stand by themselves, what is sent while nobody is there has gone.
		eventually(t, "the others go on", func() bool {
			return len(failed) > 0 || rt.Health(t.Context()).Bindings[0].Consuming
		})
		for _, id := range []string{"2", "3"} {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: id}))
			select {
			case have := <-got:
				if have != id {
					t.Errorf("got %s, want %s", have, id)
				}
			case err := <-failed:
				t.Errorf("another pull ended: %v", err)
			case <-time.After(patience):
				t.Error("nobody pulls")
			}
		}
	})
}
