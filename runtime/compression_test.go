package async_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

const compressing = "version: 1\ndefaults: {max_message_bytes: 64KiB, compress_above: 1KiB}\n"

func TestLargePayloadsAreCompressedWhereTheConfigurationSays(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		type arrival struct {
			encoding string
			order    string
			attempt  int
		}
		arrivals := make(chan arrival, 4)
		file := written(t, "async.yaml", compressing)
		rt := w.open(t, async.WithConfigFile(file), async.WithInterceptors(async.Interceptor{Handle: func(next async.HandleFunc) async.HandleFunc {
			return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
				if m, ok := in.Message.(*ordersv1.ShipRequest); ok {
					arrivals <- arrival{in.Metadata[transport.MetaEncoding], m.GetOrderId(), in.Info.Attempt}
				}
				return next(ctx, in)
			}
		}}))
		subscriber := ordersv1async.NewOrdersSubscriber(rt)
		must(t, subscriber.OnShip(func(ctx context.Context, m *ordersv1.ShipRequest) error {
			if info, _ := async.InfoFrom(ctx); info.Attempt == 1 && len(m.GetOrderId()) > 1<<10 {
				return context.DeadlineExceeded // once more
			}
			return nil
		}))
		run(t, rt)
		publisher := ordersv1async.NewOrdersPublisher(rt)
		large := strings.Repeat("x", 10<<10)
		must(t, publisher.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "small"}))
		if got, want := next(t, arrivals), (arrival{"", "small", 1}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		must(t, publisher.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: large}))
		for attempt := 1; attempt <= 2; attempt++ {
			if got, want := next(t, arrivals), (arrival{"gzip", large, attempt}); got != want {
				t.Errorf("got %.40v, want %.40v", got, want)
			}
		}
	})
}

func TestRepliesAreCompressedToo(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		file := written(t, "async.yaml", compressing)
		rt := w.open(t, async.WithConfigFile(file))
		large := strings.Repeat("x", 10<<10)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			return nil, async.NewError(async.CodeNotFound, "%s", large)
		}))
		run(t, rt)
		_, err := ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{Sku: large})
		if async.CodeOf(err) != async.CodeNotFound || !strings.Contains(err.Error(), large) {
			t.Errorf("got %.80v", err)
		}
	})
}

func TestWhatCannotBeDecompressedIsADeadLetter(t *testing.T) {
	t.Parallel()
	bomb, ok := transport.Compress(make([]byte, 1<<20))
	if !ok {
		t.Fatal("zeros cannot be compressed")
	}
	whole, ok := transport.Compress(make([]byte, 10<<10))
	if !ok {
		t.Fatal("zeros cannot be compressed")
	}
	for _, name := range []string{"memory", "amqp"} {
		for _, test := range []struct {
			name, encoding, payload, want string
		}{
			{"more than the limit when it is decompressed", "gzip", string(bomb), "too-large"},
			{"no gzip", "gzip", "hello", "undecodable"},
			{"gzip that was cut short", "gzip", string(whole[:len(whole)-4]), "undecodable"},
			{"an unknown encoding", "zstd", "hello", "undecodable"},
		} {
			t.Run(name+": "+test.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, name)
				rt := w.open(t, async.WithConfigFile(written(t, "async.yaml", compressing)))
				must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
					t.Error("the handler was called")
					return nil
				}))
				run(t, rt)
				w.inject(t, transport.Publication{Topic: w.topic(ordersv1async.OrdersShipTopic), RoutingKey: "acme.orders.v1.ShipRequest"}, "id-1", []byte(test.payload), map[string]string{
					transport.MetaID: "id-1", transport.MetaType: "acme.orders.v1.ShipRequest", transport.MetaEncoding: test.encoding,
				})
				dead := w.deadLetters(t, ordersv1async.OrdersShipTopic, "orders", 1)[0]
				if dead[transport.MetaDeadReason] != test.want || dead["payload"] != test.payload || dead[transport.MetaEncoding] != test.encoding {
					t.Errorf("got the reason %q and %d bytes in %q", dead[transport.MetaDeadReason], len(dead["payload"]), dead[transport.MetaEncoding])
				}
			})
		}
	}
}
