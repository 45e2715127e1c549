package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

func TestARefusedSendIsAnErrorAndDisturbsNothing(t *testing.T) {
	t.Parallel()
	const good = 200
	r := newRealm(t)
	consumer := r.open(t, async.WithApp("billing"))
	var seen attempts
	if err := ordersv1async.NewOrdersSubscriber(consumer).OnShip(func(ctx context.Context, c *ordersv1.ShipRequest) error {
		seen.add(ctx, c.GetOrderId())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	start(t, consumer)
	path := writeFile(t, "async.yaml", "version: 1\ndefaults: {max_message_bytes: 4KiB}\n")
	rt := r.open(t, async.WithConfigFile(path))
	events, commands, client := ordersv1async.NewOrderEventsPublisher(rt), ordersv1async.NewOrdersPublisher(rt), ordersv1async.NewOrdersClient(rt)
	ship := &ordersv1.ShipRequest{OrderId: "refused"}
	refused := func(opts ...async.SendOption) func(context.Context) error {
		return func(ctx context.Context) error { return commands.Ship(ctx, ship, opts...) }
	}
	refusals := []struct {
		name string
		want error
		send func(context.Context) error
	}{
		{"a request that nobody consumes", async.ErrUnroutable, func(ctx context.Context) error {
			_, err := client.Quote(ctx, new(ordersv1.QuoteRequest))
			return err
		}},
		{"a message over max_message_bytes", async.ErrTooLarge, func(ctx context.Context) error {
			return commands.Ship(ctx, &ordersv1.ShipRequest{OrderId: strings.Repeat("x", 5000)})
		}},
		{"a header of 5 kB", async.ErrTooLarge, refused(async.WithHeader("note", strings.Repeat("x", 5000)))},
		{"a key of 300 bytes", async.ErrTooLarge, refused(async.WithKey(strings.Repeat("k", 300)))},
		{"a reserved header", async.ErrInvalid, refused(async.WithHeader("async-attempt", "7"))},
		{"a header of the broker's", async.ErrInvalid, refused(async.WithHeader("x-death", "7"))},
		{"a header name with a space", async.ErrInvalid, refused(async.WithHeader("my note", "7"))},
		{"a header value with a line break", async.ErrInvalid, refused(async.WithHeader("note", "a\r\nb"))},
		{"a message id with a space", async.ErrInvalid, refused(async.WithMessageID("my id"))},
		{"an ordered event without a key", async.ErrNoKey, func(ctx context.Context) error {
			return events.Moved(ctx, &ordersv1.OrderMoved{Order: 1}, async.WithKey(""))
		}},
	}
	receipts := make([]*async.Receipt, good)
	for i := range good {
		id := fmt.Sprintf("command-%d", i)
		receipts[i] = commands.ShipAsync(bounded(t), &ordersv1.ShipRequest{OrderId: id, RequestId: id})
		if i%20 == 0 {
			refusal := refusals[i/20]
			if err := refusal.send(bounded(t)); !errors.Is(err, refusal.want) {
				t.Errorf("%s: %v, want %v", refusal.name, err, refusal.want)
			}
		}
	}
	for i, receipt := range receipts {
		if err := receipt.Wait(bounded(t)); err != nil {
			t.Errorf("command-%d: %v", i, err)
		}
	}
	eventually(t, "every good message is handled", func() bool {
		for i := range good {
			if len(seen.of(fmt.Sprintf("command-%d", i))) == 0 {
				return false
			}
		}
		return true
	})
	for i := range good {
		if id := fmt.Sprintf("command-%d", i); len(seen.of(id)) != 1 {
			t.Errorf("%s was handled %d times: a connection was lost", id, len(seen.of(id)))
		}
	}
	if n := len(seen.of("refused")); n > 0 {
		t.Errorf("a refused message was handled %d times", n)
	}
	if err := rt.Health(bounded(t)).Err(); err != nil {
		t.Error(err)
	}
}

func TestAnEventWithoutAnAudienceIsNoErrorAndIsCounted(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	rt := r.open(t)
	if err := ordersv1async.NewOrderEventsPublisher(rt).Placed(bounded(t), &ordersv1.OrderPlaced{OrderId: "o-1"}); err != nil {
		t.Error(err)
	}
	if n := rt.Stats().Unrouted; n != 1 {
		t.Errorf("%d unrouted events are counted, want 1", n)
	}
}
