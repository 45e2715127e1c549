package async_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func memoryStore(t *testing.T, size int) *async.MemoryDedupStore {
	t.Helper()
	store, err := async.NewMemoryDedupStore(size)
	must(t, err)
	return store
}

func TestADuplicateIsHandledOnceAndAFailureAgain(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		var calls atomic.Int32
		got := make(chan string, 10)
		rt := w.handleShip(t, func(ctx context.Context, id string) error {
			info, _ := async.InfoFrom(ctx)
			switch n := calls.Add(1); {
			case id == "twice" && n == 1:
				return errors.New("not yet")
			case id == "twice" && n == 2:
				panic("nor now")
			}
			got <- fmt.Sprint(id, " ", info.Attempt)
			return nil
		}, async.WithInterceptors(async.Deduplicate(memoryStore(t, 100), time.Hour)), async.WithConcurrency(1))
		orders := ordersv1async.NewOrdersPublisher(rt)
		send := func(id string) {
			t.Helper()
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: id, RequestId: id}))
		}
		send("twice")
		if have := next(t, got); have != "twice 3" {
			t.Errorf("got %q: a failed attempt and a panic must not count as handled", have)
		}
		for range 3 {
			send("twice")
		}
		send("last")
		if have := next(t, got); !strings.HasPrefix(have, "last") {
			t.Errorf("got %q after a duplicate", have)
		}
	})
}

func TestADuplicateWaitsForTheOneThatIsBeingHandled(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		for name, outcome := range map[string]error{"which succeeds": nil, "which fails": async.Reject(errors.New("no"))} {
			t.Run(name, func(t *testing.T) {
				var calls, running, most atomic.Int32
				begun, release := make(chan struct{}, 10), make(chan struct{})
				store := &countingStore{DedupStore: memoryStore(t, 100)}
				w := newWorld(t, w.name)
				rt := w.handleShip(t, func(context.Context, string) error {
					most.Store(max(most.Load(), running.Add(1)))
					defer running.Add(-1)
					begun <- struct{}{}
					<-release
					if calls.Add(1) == 1 {
						return outcome
					}
					return nil
				}, async.WithInterceptors(async.Deduplicate(store, time.Hour)))
				orders := ordersv1async.NewOrdersPublisher(rt)
				for range 2 {
					must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{RequestId: "same"}))
				}
				next(t, begun)
				eventually(t, "the duplicate waits", func() bool { return store.busy.Load() > 1 })
				close(release)
				want := int32(1)
				if outcome != nil {
					want = 2
				}
				eventually(t, "both have ended", func() bool { return store.ended.Load() == want && store.done.Load() == 2-want })
				if calls.Load() != want || most.Load() != 1 {
					t.Errorf("%d calls, %d at once; want %d, one at a time", calls.Load(), most.Load(), want)
				}
			})
		}
	})
}

// countingStore counts what a store answers.
type countingStore struct {
	async.DedupStore
	busy, done, ended atomic.Int32
	failEnd           bool
}

func (s *countingStore) Begin(ctx context.Context, key string, lease time.Duration) (async.DedupState, error) {
	state, err := s.DedupStore.Begin(ctx, key, lease)
	switch state {
	case async.DedupBusy:
		s.busy.Add(1)
	case async.DedupDone:
		s.done.Add(1)
	case async.DedupFresh:
	}
	return state, err
}

func (s *countingStore) End(ctx context.Context, key string, ok bool, window time.Duration) error {
	err := s.DedupStore.End(ctx, key, ok, window)
	s.ended.Add(1)
	if s.failEnd {
		return errors.New("the store is away")
	}
	return err
}

func TestEveryGroupHandlesTheEventOnceEvenInOneStore(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		got := make(chan string, 10)
		store := memoryStore(t, 100)
		for _, group := range []string{"app", "other"} {
			rt := w.open(t, async.WithInterceptors(async.Deduplicate(store, time.Hour)))
			must(t, ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(_ context.Context, e *ordersv1.OrderPlaced) error {
				got <- group + " " + e.GetOrderId()
				return nil
			}, async.WithGroup(group)))
			run(t, rt)
		}
		events := ordersv1async.NewOrderEventsPublisher(w.open(t))
		for _, id := range []string{"a", "a", "b"} {
			must(t, events.Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: id}, async.WithMessageID(id)))
		}
		seen := map[string]int{}
		for range 4 {
			seen[next(t, got)]++
		}
		if len(seen) != 4 {
			t.Errorf("handled %v", seen)
		}
	})
}

func TestRequestsStoreNothing(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		store := memoryStore(t, 100)
		var calls atomic.Int32
		rt := w.serve(t, func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			return &ordersv1.QuoteResponse{Cents: int64(calls.Add(1))}, nil
		}, async.WithInterceptors(async.Deduplicate(store, time.Hour)))
		for want := range int64(2) {
			res, err := ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{}, async.WithMessageID("same"))
			if err != nil || res.GetCents() != want+1 {
				t.Errorf("got %v, %v", res, err)
			}
		}
		if store.Len() != 0 {
			t.Errorf("the store holds %d keys", store.Len())
		}
	})
}

func TestAStoreThatFails(t *testing.T) {
	t.Parallel()
	t.Run("at the end leaves the message handled and is logged", func(t *testing.T) {
		t.Parallel()
		var logged lockedBuffer
		var calls atomic.Int32
		store := &countingStore{DedupStore: memoryStore(t, 10), failEnd: true}
		rt := newWorld(t, "memory").handleShip(t, func(context.Context, string) error { calls.Add(1); return nil },
			async.WithInterceptors(async.Deduplicate(store, time.Hour)), async.WithLogger(slog.New(slog.NewJSONHandler(&logged, nil))))
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}))
		eventually(t, "it is logged", func() bool { return strings.Contains(logged.String(), "the store is away") })
		must(t, rt.Shutdown(t.Context()))
		if s := rt.Stats(); calls.Load() != 1 || s.Retried+s.DeadLettered != 0 {
			t.Errorf("%d calls, counted %+v", calls.Load(), s)
		}
	})
	t.Run("at the beginning is a failed attempt", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int32
		rt := newWorld(t, "memory").handleShip(t, func(context.Context, string) error { calls.Add(1); return nil },
			async.WithInterceptors(async.Deduplicate(brokenStore{}, time.Hour)))
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}))
		eventually(t, "it is a dead letter", func() bool { return rt.Stats().DeadLettered == 1 })
		if calls.Load() != 0 || rt.Stats().Retried != 2 {
			t.Errorf("%d calls, counted %+v", calls.Load(), rt.Stats())
		}
	})
}

type brokenStore struct{ async.DedupStore }

func (brokenStore) Begin(context.Context, string, time.Duration) (async.DedupState, error) {
	return 0, errors.New("the store is away")
}

func TestAPulledDeliveryIsDeduplicatedByProcess(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t, async.WithInterceptors(async.Deduplicate(memoryStore(t, 10), time.Hour)))
		sub := ordersv1async.NewOrdersSubscriber(rt)
		if w.caps.StandingGroups == transport.None {
			// The group exists from its first Receive on.
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := sub.ReceiveShip(ctx)
			cancel()
			wantErr(t, err, context.DeadlineExceeded)
		}
		for range 2 {
			must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{RequestId: "same"}))
		}
		calls := 0
		for range 2 {
			d, err := sub.ReceiveShip(t.Context())
			must(t, err)
			must(t, d.Process(t.Context(), func(context.Context, *ordersv1.ShipRequest) error { calls++; return nil }))
		}
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}
