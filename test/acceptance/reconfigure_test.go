package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// attempts remembers each handler call for each message.
type attempts struct {
	mu   sync.Mutex
	seen map[string][]int
}

func (a *attempts) add(ctx context.Context, id string) {
	info, _ := async.InfoFrom(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = make(map[string][]int)
	}
	a.seen[id] = append(a.seen[id], info.Attempt)
}

func (a *attempts) of(id string) []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.seen[id])
}

func TestAChangedConfigurationRestartsOnTheSameQueuesAndKeepsWhatWaited(t *testing.T) {
	t.Parallel()
	const count = 20
	r := newRealm(t)
	subscribe := func(config string, handle func(context.Context, string) error) *async.Runtime {
		rt := r.open(t, async.WithApp("billing"), async.WithConfigFile(writeFile(t, "async.yaml", "version: 1\n"+config)))
		err := errors.Join(
			ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(ctx context.Context, e *ordersv1.OrderPlaced) error {
				return handle(ctx, e.GetOrderId())
			}),
			ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, c *ordersv1.ShipRequest) error {
				return handle(ctx, c.GetOrderId())
			}),
		)
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}

	// The first configuration makes the queues and fails every message, whose retry then waits until that process is gone.
	var before attempts
	first := subscribe(`
bindings:
  acme.orders.v1.OrderEvents: {concurrency: 2, retry: {max_attempts: 5, min_backoff: 10s, max_backoff: 1h, jitter: 0}}
  acme.orders.v1.Orders: {concurrency: 40, retry: {max_attempts: 2, min_backoff: 10s, max_backoff: 1h, jitter: 0}}
`, func(ctx context.Context, id string) error {
		before.add(ctx, id)
		return errors.New("not now")
	})
	stop := start(t, first)
	events, commands := ordersv1async.NewOrderEventsPublisher(first), ordersv1async.NewOrdersPublisher(first)
	var ids []string
	for i := range count {
		event, command := fmt.Sprintf("event-%d", i), fmt.Sprintf("command-%d", i)
		err := errors.Join(
			events.Placed(bounded(t), &ordersv1.OrderPlaced{OrderId: event}),
			commands.Ship(bounded(t), &ordersv1.ShipRequest{OrderId: command}),
		)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, event, command)
	}
	eventually(t, "retries wait", func() bool { return first.Stats().Retried > 0 })
	stop()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	var after attempts
	second := subscribe(`
defaults: {concurrency: 3}
bindings:
  acme.orders.v1.OrderEvents: {retry: {max_attempts: 2, min_backoff: 1ms, max_backoff: 2ms, multiplier: 3}, dead_letter: {disabled: true}}
  acme.orders.v1.Orders/Ship: {concurrency: 1, retry: {max_attempts: 9, immediate: 1, min_backoff: 5ms, max_backoff: 5ms}, dead_letter: {disabled: true}}
`, func(ctx context.Context, id string) error {
		after.add(ctx, id)
		if id == "event-0" {
			return errors.New("never")
		}
		return nil
	})
	start(t, second)
	eventually(t, "everything that waited is handled", func() bool {
		return !slices.ContainsFunc(ids, func(id string) bool { return len(after.of(id)) == 0 })
	})
	eventually(t, "what fails for good is dropped, since dead letters are disabled now", func() bool {
		return second.Stats().Dropped == 1
	})
	if n := slices.Max(after.of("event-0")); n != 2 {
		t.Errorf("the last attempt of a message that always fails was %d, want the new max_attempts 2", n)
	}
	if err := second.Health(bounded(t)).Err(); err != nil {
		t.Error(err)
	}
	for _, queue := range []string{
		r.queue(ordersv1async.OrderEventsPlacedTopic, "billing"), r.queue(ordersv1async.OrdersShipTopic, "orders"),
	} {
		eventually(t, "the queue "+queue+" is empty", func() bool {
			waiting, _ := r.inspect(t, queue)
			dead, _ := r.inspect(t, queue+"--dead")
			if dead > 0 {
				t.Fatalf("%d messages are in %s--dead", dead, queue)
			}
			return waiting == 0
		})
	}
}
