package async_test

import (
	"context"
	"strings"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func TestAMessageIsDeliveredAtItsInstant(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		got := make(chan time.Time, 1)
		rt := w.handleShip(t, func(context.Context, string) error {
			got <- time.Now()
			return nil
		})
		// Without a monotonic reading, as it is when it comes from a database.
		instant := time.Now().Add(300 * time.Millisecond).Round(0)
		err := ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithDeliverAt(instant))
		if w.caps.Delay == transport.None {
			wantErr(t, err, async.ErrUnsupported)
			return
		}
		must(t, err)
		// Never early, and late by no more than a second, beside what a busy machine takes.
		if late := next(t, got).Sub(instant); late < 0 || late > 5*time.Second {
			t.Errorf("it came %s after its time", late)
		}
	})
}

func TestADelayIsAtMostSevenDays(t *testing.T) {
	t.Parallel()
	const limit = 7 * 24 * time.Hour
	for name, option := range map[string]func(time.Duration) async.SendOption{
		"for a duration":   async.WithDelay,
		"until an instant": func(d time.Duration) async.SendOption { return async.WithDeliverAt(time.Now().Add(d)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory(t, func(t *testing.T, w *world) {
				start := time.Now()
				got := make(chan time.Duration, 2)
				rt := w.handleShip(t, func(context.Context, string) error {
					got <- time.Since(start)
					return nil
				})
				orders := ordersv1async.NewOrdersPublisher(rt)
				err := orders.Ship(t.Context(), &ordersv1.ShipRequest{}, option(limit+1))
				wantErr(t, err, async.ErrTooLarge)
				for _, text := range []string{(limit + 1).String(), "limit is " + limit.String()} {
					if !strings.Contains(err.Error(), text) {
						t.Errorf("the error does not say %s: %v", text, err)
					}
				}
				must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{}, option(limit)))
				elapse(2 * limit)
				if len(got) != 1 || <-got != limit {
					t.Errorf("what waits 7 days did not come after 7 days, once")
				}
			})
		})
	}
}

func TestAMessageWaitsForOneReason(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		orders := ordersv1async.NewOrdersPublisher(w.open(t))
		delay, deliverAt := async.WithDelay(time.Second), async.WithDeliverAt(time.Now().Add(time.Hour))
		for _, opts := range [][]async.SendOption{{delay, deliverAt}, {deliverAt, delay}, {deliverAt, async.WithDelay(0)}} {
			err := orders.Ship(t.Context(), &ordersv1.ShipRequest{}, opts...)
			wantErr(t, err, async.ErrInvalid)
			if !strings.Contains(err.Error(), "WithDelay and WithDeliverAt exclude each other") {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestTheTimeToLiveBeginsWhenTheDelayEnds(t *testing.T) {
	t.Parallel()
	const delay, ttl = time.Hour, time.Minute
	for name, c := range map[string]struct {
		resumed time.Duration // when the consumer comes back
		handled bool
	}{
		"a consumer that is there in time handles it": {resumed: delay + ttl - 1, handled: true},
		"one that comes later does not":               {resumed: delay + ttl},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory(t, func(t *testing.T, w *world) {
				infos := make(chan *async.Info, 1)
				rt := w.handleShip(t, func(ctx context.Context, _ string) error {
					info, _ := async.InfoFrom(ctx)
					infos <- info
					return nil
				})
				const name = "acme.orders.v1.Orders/Ship"
				start := time.Now()
				must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithDelay(delay), async.WithTTL(ttl)))
				elapse(time.Second)
				must(t, rt.Pause(name))
				elapse(c.resumed - time.Since(start))
				must(t, rt.Resume(name))
				elapse(time.Second)
				if handled := len(infos) == 1; handled != c.handled {
					t.Fatalf("handled: %t", handled)
				}
				if c.handled {
					if deadline := (<-infos).Deadline.Sub(start); deadline != delay+ttl {
						t.Errorf("its deadline is after %s", deadline)
					}
				}
			})
		})
	}
}
