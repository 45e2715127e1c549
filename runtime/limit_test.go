package async_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// Every limit is tried one below, at, and one above; an error names the limit and the value.
func TestLimits(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		events := ordersv1async.NewOrderEventsPublisher(rt)
		place := func(msg *ordersv1.OrderPlaced, opts ...async.SendOption) error {
			return events.Placed(t.Context(), msg, opts...)
		}
		headers := func(n, size int) []async.SendOption {
			var opts []async.SendOption
			for i := range n {
				opts = append(opts, async.WithHeader(fmt.Sprintf("h%03d", i), strings.Repeat("v", size)))
			}
			return opts
		}
		for _, c := range []struct {
			name  string
			limit int
			want  error
			send  func(n int) error
		}{
			{"bytes of a message, headers apart", 1 << 20, async.ErrTooLarge, func(n int) error { return sizedArchive(t, rt, n) }},
			{"header names", 64, async.ErrTooLarge, func(n int) error { return place(&ordersv1.OrderPlaced{}, headers(n, 1)...) }},
			{"bytes of a header name", 128, async.ErrTooLarge, func(n int) error {
				return place(&ordersv1.OrderPlaced{}, async.WithHeader(strings.Repeat("h", n), "v"))
			}},
			{"bytes of a header value", 4096, async.ErrTooLarge, func(n int) error {
				return place(&ordersv1.OrderPlaced{}, async.WithHeader("h", strings.Repeat("v", n)))
			}},
			{"bytes of a header value from a field", 4096, async.ErrTooLarge, func(n int) error {
				return place(&ordersv1.OrderPlaced{Tenant: strings.Repeat("v", n)})
			}},
			{"bytes of all headers", 32 << 10, async.ErrTooLarge, func(n int) error {
				// Seven of 4 + 4,092 bytes leave 4,096 for the last.
				return place(&ordersv1.OrderPlaced{}, append(headers(7, 4092), async.WithHeader("last", strings.Repeat("v", n-7*4096-4)))...)
			}},
			{"bytes of a key", 256, async.ErrTooLarge, func(n int) error {
				return place(&ordersv1.OrderPlaced{}, async.WithKey(strings.Repeat("k", n)))
			}},
			{"bytes of a key from a field", 256, async.ErrTooLarge, func(n int) error {
				return place(&ordersv1.OrderPlaced{OrderId: strings.Repeat("k", n)})
			}},
			{"bytes of a message id", 64, async.ErrTooLarge, func(n int) error {
				return place(&ordersv1.OrderPlaced{}, async.WithMessageID(strings.Repeat("i", n)))
			}},
			{"bytes of a message id from a field", 64, async.ErrTooLarge, func(n int) error {
				return ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{RequestId: strings.Repeat("i", n)})
			}},
			{"messages of a batch", 1000, async.ErrTooLarge, func(n int) error {
				msgs := make([]*ordersv1.OrderPlaced, n)
				for i := range msgs {
					msgs[i] = &ordersv1.OrderPlaced{}
				}
				return unrelated(t, w).PlacedBatch(t.Context(), msgs)
			}},
			{"bytes of a topic", 128, async.ErrTooLarge, func(n int) error {
				return bindable(t, func(s *async.Spec) { s.Topic = strings.Repeat("t", n) })
			}},
			{"bytes of an alias", 128, async.ErrTooLarge, func(n int) error {
				return bindable(t, func(s *async.Spec) { s.Aliases = []string{strings.Repeat("t", n)} })
			}},
			{"bytes of a group", 80, nil, func(n int) error {
				return subscribable(t, w, async.WithGroup(strings.Repeat("g", n)))
			}},
			{"messages in flight", 1000, nil, func(n int) error { return subscribable(t, w, async.WithConcurrency(n)) }},
			{"entries of a batch", 1000, nil, func(n int) error {
				return ordersv1async.NewOrderEventsSubscriber(w.open(t)).OnPlacedBatch(
					func(context.Context, []*async.Delivery[*ordersv1.OrderPlaced]) error { return nil }, async.WithBatch(n, time.Second))
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				must(t, c.send(c.limit-1))
				must(t, c.send(c.limit))
				err := c.send(c.limit + 1)
				if err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Fatalf("one above the limit: %v, want %v", err, c.want)
				}
				for _, number := range []int{c.limit, c.limit + 1} {
					if text := err.Error(); !strings.Contains(text, fmt.Sprint(number)) {
						t.Errorf("the error does not say %d: %s", number, text)
					}
				}
			})
		}
	})
}

// unrelated is a publisher of events that nobody handles.
func unrelated(t *testing.T, w *world) ordersv1async.OrderEventsPublisher {
	t.Helper()
	other := *w
	other.namespace += "x"
	return ordersv1async.NewOrderEventsPublisher(other.open(t))
}

// sizedArchive sends a command of n bytes, with headers beside them.
func sizedArchive(t *testing.T, rt *async.Runtime, n int) error {
	t.Helper()
	// One byte of tag and three of length.
	msg := &ordersv1.ArchiveRequest{OrderId: strings.Repeat("o", n-4)}
	return ordersv1async.NewOrdersPublisher(rt).Archive(t.Context(), msg, async.WithHeader("big", strings.Repeat("h", 4096)))
}

// bindable returns what is wrong with a contract.
func bindable(t *testing.T, change func(*async.Spec)) error {
	t.Helper()
	rt, err := async.Open(t.Context(), async.WithURL("memory://"))
	must(t, err)
	defer func() { must(t, rt.Close()) }()
	spec := moves(async.KindCommand, change)
	return async.NewPublisher[*ordersv1.OrderMoved](rt, spec).Send(t.Context(), &ordersv1.OrderMoved{})
}

// subscribable returns what is wrong with a subscription.
func subscribable(t *testing.T, w *world, opts ...async.SubscribeOption) error {
	t.Helper()
	return ordersv1async.NewOrderEventsSubscriber(w.open(t)).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error { return nil }, opts...)
}

func TestABatchSubscriptionHasAtMostAThousandInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "memory")
	m := &observed{Transport: w.transport(t)}
	w.shared = m
	rt := w.open(t)
	must(t, ordersv1async.NewOrderEventsSubscriber(rt).OnPlacedBatch(
		func(context.Context, []*async.Delivery[*ordersv1.OrderPlaced]) error { return nil }, async.WithBatch(1000, time.Second), async.WithConcurrency(4)))
	run(t, rt)
	if got := m.subscription.InFlight(); got != 1000 {
		t.Errorf("%d in flight", got)
	}
}

// observed keeps the last subscription.
type observed struct {
	transport.Transport
	subscription transport.Subscription
}

func (o *observed) Consume(ctx context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	o.subscription = s
	return transport.ConsumerOf(o.Transport).Consume(ctx, s, receive)
}

// TestALargeReplyIsRefused: a caller holds what answers to its own limit, whatever the responder's is, and whether or not it was
// compressed.
func TestALargeReplyIsRefused(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		limited := func(limits string) async.Option {
			return async.WithConfigFile(written(t, "async.yaml", "version: 1\ndefaults: {"+limits+"}\n"))
		}
		const limit = 64 << 10
		for name, responding := range map[string]string{"as it is": "max_message_bytes: 1MiB", "compressed": "max_message_bytes: 1MiB, compress_above: 1KiB"} {
			other := *w
			other.namespace += "-" + strings.ReplaceAll(name, " ", "-")
			responder := other.open(t, limited(responding))
			must(t, ordersv1async.NewOrdersSubscriber(responder).OnQuote(func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
				if req.GetSku() == "error" {
					return nil, async.NewError(async.CodeNotFound, "%s", strings.Repeat("x", limit))
				}
				res := new(ordersv1.QuoteResponse)
				res.ProtoReflect().SetUnknown(bytesField(limit))
				return res, nil
			}))
			run(t, responder)
			client := ordersv1async.NewOrdersClient(other.open(t, limited("max_message_bytes: 64KiB")))
			for _, sku := range []string{"reply", "error"} {
				_, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{Sku: sku})
				if async.CodeOf(err) != async.CodeResourceExhausted || !strings.Contains(err.Error(), "max_message_bytes") {
					t.Errorf("%s, %s: got %.80v", sku, name, err)
				}
			}
		}
	})
}

// bytesField is a field of n bytes that no message has.
func bytesField(n int) []byte {
	return append(protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.BytesType), uint64(n)), make([]byte, n)...)
}
