package async_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func ignoreShip(context.Context, *ordersv1.ShipRequest) error { return nil }

func TestARuntimeRunsOnce(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(ignoreShip))
		stop := run(t, rt)
		wantErr(t, rt.Run(t.Context()), async.ErrRunning)
		wantErr(t, ordersv1async.NewOrdersSubscriber(rt).OnArchive(func(context.Context, *ordersv1.ArchiveRequest) error { return nil }), async.ErrRunning)
		stop()
		wantErr(t, rt.Run(t.Context()), async.ErrRunning)
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{})) // sends go on after Run
		must(t, rt.Shutdown(t.Context()))
		must(t, rt.Shutdown(t.Context()))
		must(t, rt.Close())
		wantErr(t, rt.Run(t.Context()), async.ErrClosed)
		wantErr(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}), async.ErrClosed)
		wantErr(t, ordersv1async.NewOrdersSubscriber(rt).OnQuote(nil), async.ErrClosed)
		_, err := ordersv1async.NewOrdersSubscriber(rt).ReceiveShip(t.Context())
		wantErr(t, err, async.ErrClosed)
		_, err = ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{})
		wantErr(t, err, async.ErrClosed)
		wantErr(t, rt.Health(t.Context()).Err(), async.ErrClosed)
	})
}

func TestARuntimeWithoutHandlersIsReadyAtOnce(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		run(t, rt)
		must(t, rt.Health(t.Context()).Err())
	})
}

func TestShutdownEndsRun(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(ignoreShip))
		result := make(chan error, 1)
		go func() { result <- rt.Run(context.Background()) }()
		<-rt.Ready()
		must(t, rt.Shutdown(t.Context()))
		must(t, next(t, result))
	})
}

func TestSecondHandlersAreRefused(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		orders := ordersv1async.NewOrdersSubscriber(rt)
		must(t, orders.OnShip(ignoreShip))
		wantErr(t, orders.OnShip(ignoreShip), async.ErrDuplicateSubscription)
		_, err := orders.ReceiveShip(t.Context())
		wantErr(t, err, async.ErrDuplicateSubscription)
		events := ordersv1async.NewOrderEventsSubscriber(rt)
		ignore := func(context.Context, *ordersv1.OrderPlaced) error { return nil }
		must(t, events.OnPlaced(ignore))
		must(t, events.OnPlaced(ignore, async.WithGroup("other")))
		wantErr(t, events.OnPlaced(ignore, async.WithGroup("other")), async.ErrDuplicateSubscription)
	})
}

func TestAGroupIsNeededAndChecked(t *testing.T) {
	t.Parallel()
	rt, err := async.Open(t.Context(), async.WithURL("memory://"))
	must(t, err)
	defer rt.Close()
	events := ordersv1async.NewOrderEventsSubscriber(rt)
	ignore := func(context.Context, *ordersv1.OrderPlaced) error { return nil }
	wantErr(t, events.OnPlaced(ignore), async.ErrNoGroup)
	for _, bad := range []string{"a--b", "a b", "a/b", "*"} {
		if err := events.OnPlaced(ignore, async.WithGroup(bad)); err == nil || !strings.Contains(err.Error(), "letters, digits") {
			t.Errorf("group %q: %v", bad, err)
		}
	}
	if err := ordersv1async.NewOrdersSubscriber(rt, async.WithGroup("mine")).OnShip(ignoreShip); err == nil || !strings.Contains(err.Error(), "contract") {
		t.Errorf("the group of a command: %v", err)
	}
	must(t, events.OnPlaced(ignore, async.WithGroup(strings.Repeat("x", 80))))
}

func TestADrainLetsHandlersFinishAndPublish(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		results := ordersv1async.NewOrdersPublisher(rt)
		started, release := make(chan struct{}, 10), make(chan struct{})
		var finished atomic.Int32
		type key struct{}
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error {
			started <- struct{}{}
			<-release
			if ctx.Err() != nil || ctx.Value(key{}) != "v" {
				return fmt.Errorf("the context ended early, or lost Run's values: %w", ctx.Err())
			}
			if err := results.Archive(ctx, &ordersv1.ArchiveRequest{OrderId: "out"}); err != nil {
				return err
			}
			finished.Add(1)
			return nil
		}, async.WithConcurrency(2)))
		stop := runIn(context.WithValue(context.Background(), key{}, "v"), t, rt)
		orders := ordersv1async.NewOrdersPublisher(rt)
		for i := range 5 {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: fmt.Sprint(i)}))
		}
		next(t, started)
		next(t, started)
		var stopping sync.WaitGroup
		stopping.Go(stop)
		eventually(t, "fetching has stopped", func() bool { return !rt.Health(t.Context()).Bindings[0].Consuming })
		close(release)
		stopping.Wait()
		if n := finished.Load(); n != 2 || len(started) != 0 {
			t.Errorf("%d handlers finished, %d more were started", n, len(started))
		}
		if w.caps.Redelivery == transport.None {
			return
		}
		w.comesBackUncounted(t, 3)
	})
}

func TestADrainThatTakesTooLongGivesBackUncounted(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t, async.WithDrainTimeout(time.Second))
		started, cause := make(chan struct{}, 1), make(chan error, 1)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error {
			started <- struct{}{}
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return ctx.Err()
		}))
		stop := run(t, rt)
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		next(t, started)
		stop()
		wantErr(t, next(t, cause), async.ErrDrainTimeout)
		if s := rt.Stats(); s.Retried != 0 || s.DeadLettered != 0 {
			t.Errorf("counted %+v", s)
		}
		if w.caps.Redelivery == transport.None {
			return
		}
		w.comesBackUncounted(t, 1)
	})
}

func TestPauseAndResume(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		got := make(chan string, 10)
		rt := w.handleShip(t, func(_ context.Context, id string) error { got <- id; return nil })
		const name = "acme.orders.v1.Orders/Ship"
		orders := ordersv1async.NewOrdersPublisher(rt)
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		next(t, got)
		must(t, rt.Pause(name))
		must(t, rt.Pause(name))
		h := rt.Health(t.Context())
		must(t, h.Err())
		if h.Bindings[0].Consuming || h.Bindings[0].Paused == nil || h.Bindings[0].RPC != name {
			t.Errorf("health %+v", h)
		}
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "2"}))
		select {
		case id := <-got:
			t.Errorf("%s was handled while paused", id)
		case <-time.After(100 * time.Millisecond):
		}
		must(t, rt.Resume(name))
		if id := next(t, got); id != "2" {
			t.Errorf("got %s", id)
		}
		if err := rt.Pause("acme.Nothing/Here"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("an unknown binding: %v", err)
		}
	})
}

func TestAnUnimplementedCommandIsPutBackAndThePausedBindingShows(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		first := w.open(t)
		must(t, ordersv1async.RegisterOrdersHandler(first, ordersv1async.UnimplementedOrdersHandler{}))
		run(t, first)
		must(t, ordersv1async.NewOrdersPublisher(first).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		eventually(t, "the binding is paused", func() bool { return errors.Is(first.Health(t.Context()).Err(), async.ErrUnimplemented) })
		got := make(chan string, 1)
		second := w.handleShip(t, func(ctx context.Context, id string) error {
			info, _ := async.InfoFrom(ctx)
			got <- fmt.Sprint(id, " ", info.Attempt)
			return nil
		})
		if have := next(t, got); have != "1 1" {
			t.Errorf("got %s", have)
		}
		if s := first.Stats(); s.Retried+s.DeadLettered+s.Dropped != 0 {
			t.Errorf("counted %+v", s)
		}
		must(t, second.Health(t.Context()).Err())
	})
}

func TestConcurrencyIsBoundedAndUsed(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		var running, most atomic.Int32
		var done sync.WaitGroup
		full := make(chan struct{})
		var once sync.Once
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
			defer done.Done()
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); {
				m = most.Load()
			}
			if n == 3 {
				once.Do(func() { close(full) })
			}
			<-full
			return nil
		}, async.WithConcurrency(3)))
		run(t, rt)
		orders := ordersv1async.NewOrdersPublisher(rt)
		done.Add(20)
		for range 20 {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{}))
		}
		done.Wait()
		if most.Load() != 3 {
			t.Errorf("%d handlers ran at once, want 3", most.Load())
		}
	})
}

func TestBroadcastReachesEveryProcess(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		got := make(chan int, 10)
		for i := range 2 {
			rt := w.open(t)
			err := ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error { got <- i; return nil }, async.WithBroadcast())
			if w.caps.Broadcast == transport.None {
				wantErr(t, err, async.ErrUnsupported)
				return
			}
			must(t, err)
			run(t, rt)
		}
		must(t, ordersv1async.NewOrderEventsPublisher(w.open(t)).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "1"}))
		if a, b := next(t, got), next(t, got); a == b {
			t.Errorf("process %d got it twice", a)
		}
	})
}
