package async_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asynctest"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// shipBatch is what a batch handler of Ship gets.
type shipBatch = []*async.Delivery[*ordersv1.ShipRequest]

func TestAHandlerThatDoesNotReturnHasFailed(t *testing.T) {
	t.Parallel()
	ways := map[string]func(){
		"a panic":                  func() { panic("oh no") },
		"the end of its goroutine": runtime.Goexit,
	}
	kinds := map[string]func(t *testing.T, rt *asynctest.Runtime, end func()){
		"push": func(t *testing.T, rt *asynctest.Runtime, end func()) {
			must(t, ordersv1async.NewOrdersSubscriber(rt.Runtime).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
				end()
				return nil
			}))
			rt.Start()
		},
		"batch": func(t *testing.T, rt *asynctest.Runtime, end func()) {
			must(t, ordersv1async.NewOrdersSubscriber(rt.Runtime).OnShipBatch(func(context.Context, shipBatch) error {
				end()
				return nil
			}))
			rt.Start()
		},
	}
	for way, end := range ways {
		for kind, register := range kinds {
			t.Run(way+" of "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					rt := asynctest.New(t)
					calls := 0
					register(t, rt, func() {
						if calls++; calls < 3 {
							end()
						}
					})
					must(t, ordersv1async.NewOrdersPublisher(rt.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}))
					rt.WaitIdle(time.Hour)
					if handled := asynctest.Handled[*ordersv1.ShipRequest](rt); calls != 3 || len(handled) != 1 {
						t.Errorf("%d calls, handled %v", calls, handled)
					}
				})
			})
		}
	}
}

func TestAPanicWhileAPulledMessageIsProcessedIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt := asynctest.New(t)
		must(t, ordersv1async.NewOrdersPublisher(rt.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{}))
		subscriber := ordersv1async.NewOrdersSubscriber(rt.Runtime)
		for attempt := range 3 {
			delivery, err := subscriber.ReceiveShip(t.Context())
			must(t, err)
			err = delivery.Process(t.Context(), func(context.Context, *ordersv1.ShipRequest) error { panic("oh no") })
			if err == nil || !strings.Contains(err.Error(), "oh no") || delivery.Info().Attempt != attempt+1 {
				t.Errorf("attempt %d: got %v", delivery.Info().Attempt, err)
			}
		}
		rt.WaitIdle(time.Hour)
		if dead := rt.DeadLetters(); len(dead) != 1 || dead[0].Reason != "max-attempts" {
			t.Errorf("dead letters: %v", dead)
		}
	})
}

func TestTheEndOfAGoroutineThatProcessesAPulledMessageIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged lockedBuffer
		rt := asynctest.New(t, async.WithConcurrency(1), async.WithLogger(slog.New(slog.NewJSONHandler(&logged, nil))))
		must(t, ordersv1async.NewOrdersPublisher(rt.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{}))
		subscriber := ordersv1async.NewOrdersSubscriber(rt.Runtime)
		for attempt := range 3 {
			// With a concurrency of 1 the next attempt comes only when the last one is settled.
			delivery, err := subscriber.ReceiveShip(t.Context())
			must(t, err)
			if delivery.Info().Attempt != attempt+1 {
				t.Errorf("attempt %d, want %d", delivery.Info().Attempt, attempt+1)
			}
			var process sync.WaitGroup
			process.Go(func() {
				_ = delivery.Process(t.Context(), func(context.Context, *ordersv1.ShipRequest) error { runtime.Goexit(); return nil })
				t.Error("Process returned to a goroutine that has ended")
			})
			process.Wait()
			wantErr(t, delivery.Settle(t.Context(), nil), async.ErrSettled)
		}
		rt.WaitIdle(time.Hour)
		if dead := rt.DeadLetters(); len(dead) != 1 || dead[0].Reason != "max-attempts" || !strings.Contains(dead[0].Error, "ended its goroutine") {
			t.Errorf("dead letters: %v", dead)
		}
		if n := strings.Count(logged.String(), "misbehaviour_test.go"); n < 3 {
			t.Errorf("%d of 3 stacks are in the log", n)
		}
	})
}

func TestARequestAlwaysHasAReply(t *testing.T) {
	t.Parallel()
	var nothing *ordersv1.QuoteResponse
	huge := &ordersv1.QuoteRequest{Sku: strings.Repeat("x", 1<<20)}
	tests := map[string]struct {
		handler func() (*ordersv1.QuoteResponse, error)
		want    async.Code
		text    string
	}{
		"a handler that panics": {
			func() (*ordersv1.QuoteResponse, error) { panic("a secret") }, async.CodeInternal, "the handler panicked",
		},
		"a handler that ends its goroutine": {
			func() (*ordersv1.QuoteResponse, error) { runtime.Goexit(); return nothing, nil }, async.CodeInternal, "ended its goroutine",
		},
		"a handler that returns nothing": {
			func() (*ordersv1.QuoteResponse, error) { return nothing, nil }, async.CodeInternal, "neither a reply nor an error",
		},
		"an error that is too large to send": {
			func() (*ordersv1.QuoteResponse, error) {
				return nil, async.NewError(async.CodeAborted, "%s", huge.GetSku())
			},
			async.CodeResourceExhausted, "max_message_bytes",
		},
		"an error whose text is not UTF-8": {
			func() (*ordersv1.QuoteResponse, error) { return nil, async.NewError(async.CodeAborted, "\xff") },
			async.CodeInternal, "cannot be encoded",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := asynctest.New(t)
			must(t, ordersv1async.NewOrdersSubscriber(rt.Runtime).OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
				return test.handler()
			}))
			rt.Start()
			_, err := ordersv1async.NewOrdersClient(rt.Runtime).Quote(t.Context(), &ordersv1.QuoteRequest{})
			if async.CodeOf(err) != test.want || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %s with %q", err, test.want, test.text)
			}
		})
	}
}

func TestBatchesAndPullsSkipWhatNobodyMaySee(t *testing.T) {
	t.Parallel()
	wrong := &async.Spec{
		Service: ordersv1async.OrdersName, Method: "Ship", Kind: async.KindCommand, Topic: ordersv1async.OrdersShipTopic, Group: "orders",
		Type: "acme.orders.v1.ArchiveRequest", Input: func() proto.Message { return new(ordersv1.ArchiveRequest) },
	}
	// send sends one message of the wrong type, one that has expired when it is received, and a good one.
	send := func(t *testing.T, rt *asynctest.Runtime) {
		t.Helper()
		orders := ordersv1async.NewOrdersPublisher(rt.Runtime)
		must(t, async.NewPublisher[*ordersv1.ArchiveRequest](rt.Runtime, wrong).Send(t.Context(), &ordersv1.ArchiveRequest{}))
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "late"}, async.WithTTL(50*time.Millisecond)))
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "good"}))
	}
	check := func(t *testing.T, rt *asynctest.Runtime, got []string) {
		t.Helper()
		if len(got) != 1 || got[0] != "good" {
			t.Errorf("received %v, want the good one", got)
		}
		rt.WaitIdle(time.Minute)
		if s := rt.Stats(); s.Expired != 1 || s.DeadLettered != 1 {
			t.Errorf("stats %+v", s)
		}
	}
	t.Run("a batch handler", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			rt := asynctest.New(t)
			var got []string
			must(t, ordersv1async.NewOrdersSubscriber(rt.Runtime).OnShipBatch(func(_ context.Context, batch shipBatch) error {
				for _, d := range batch {
					got = append(got, d.Msg.GetOrderId())
				}
				return nil
			}, async.WithBatch(10, time.Second)))
			rt.Start()
			send(t, rt)
			rt.WaitIdle(time.Minute)
			check(t, rt, got)
		})
	})
	t.Run("a puller", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			rt := asynctest.New(t)
			subscriber := ordersv1async.NewOrdersSubscriber(rt.Runtime)
			// The first call starts the consumption; what comes then is fetched, and expires in the hands of the runtime.
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := subscriber.ReceiveShip(ctx)
			wantErr(t, err, context.DeadlineExceeded)
			send(t, rt)
			<-time.After(time.Second)
			delivery, err := subscriber.ReceiveShip(t.Context())
			must(t, err)
			must(t, delivery.Settle(t.Context(), nil))
			check(t, rt, []string{delivery.Msg.GetOrderId()})
		})
	})
}

func TestAQueueOfAnotherKindIsAnErrorOfRun(t *testing.T) {
	t.Parallel()
	broker := memorytransport.NewBroker()
	other := broker.Open()
	defer closeTransport(t, other)
	must(t, other.Declare(t.Context(), transport.Subscription{
		Topic: ordersv1async.OrdersShipTopic, Group: "orders", Kind: transport.KindCommand, Ordered: true,
	}))
	rt, err := async.Open(t.Context(), async.WithTransport(broker.Open()))
	must(t, err)
	must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(ignoreShip))
	err = rt.Run(t.Context())
	var topology *transport.TopologyError
	if !errors.As(err, &topology) || topology.Property != "ordered" || topology.Want != "false" || topology.Have != "true" {
		t.Errorf("got %v", err)
	}
	wantErr(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}), async.ErrTopology)
	must(t, rt.Close())
}

func TestOldTopicsAreConsumedAndNotSentTo(t *testing.T) {
	t.Parallel()
	spec := func(topic string, aliases ...string) *async.Spec {
		return &async.Spec{
			Service: ordersv1async.OrdersName, Method: "Ship", Kind: async.KindCommand, Topic: topic, Aliases: aliases, Group: "orders",
			Type: "acme.orders.v1.ShipRequest", Input: func() proto.Message { return new(ordersv1.ShipRequest) },
		}
	}
	now := spec("orders.ship", "orders.send")
	then := spec("orders.send")
	then.Kind, then.Group = async.KindEvent, "" // as one who only knows the topic
	rt := asynctest.New(t, async.WithNamespace("dev"))
	must(t, async.Handle(rt.Runtime, now, func(context.Context, *ordersv1.ShipRequest) error { return nil }))
	rt.Start()
	must(t, async.NewPublisher[*ordersv1.ShipRequest](rt.Runtime, then).Send(t.Context(), &ordersv1.ShipRequest{OrderId: "old"}))
	must(t, async.NewPublisher[*ordersv1.ShipRequest](rt.Runtime, now).Send(t.Context(), &ordersv1.ShipRequest{OrderId: "new"}))
	rt.WaitIdle(time.Minute)
	var topics []string
	for _, p := range rt.Published() {
		topics = append(topics, p.Topic)
	}
	if strings.Join(topics, " ") != "dev.orders.send dev.orders.ship" {
		t.Errorf("published to %v", topics)
	}
	if handled := asynctest.Handled[*ordersv1.ShipRequest](rt); len(handled) != 2 {
		t.Errorf("handled %v", handled)
	}
}

func TestABatchHandlerIsNotForAWatermillRouter(t *testing.T) {
	t.Parallel()
	rt := asynctest.New(t)
	must(t, ordersv1async.NewOrdersSubscriber(rt.Runtime).OnShipBatch(func(context.Context, shipBatch) error { return nil }))
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	must(t, err)
	wantErr(t, rt.MountOn(router), async.ErrUnsupported)
	rt.Start()
	wantErr(t, rt.MountOn(router), async.ErrRunning)
}
