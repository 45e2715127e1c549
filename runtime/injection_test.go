package async_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// injections are what some broker, file system, shell or log takes for more than text.
var injections = []string{
	"a\r\nPUB evil 0", "a\nb", "*", "a.*", ">", "a.>", "#", "a.#", "../../etc", strings.Repeat("a", 300), "'; DROP TABLE x; --", `"`, "`", "a\x00b",
	"\u0430cme", "\uff41", "a\u202eb", "a\u2028b", "\ufeffa", "a b", "a\tb", "${HOME}", "%00", `a\b`, "a/b", "a;b", "a=b", "\x1b[31m", "a\xffb",
}

// misnamed are names that are made of the right characters and yet stand for others.
var misnamed = []string{"a--b", "-a", "a-", "..", "a..b", ".a", "a."}

// TestNamesThatInjectAreRefused: no transport sees a name that is not one.
func TestNamesThatInjectAreRefused(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		send := func(change func(*async.Spec)) error {
			return async.NewPublisher[*ordersv1.OrderMoved](rt, moves(async.KindCommand, change)).Send(t.Context(), &ordersv1.OrderMoved{Order: 1})
		}
		subscribe := func(opts ...async.SubscribeOption) error {
			return ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error { return nil }, opts...)
		}
		open := func(opts ...async.Option) error {
			other, err := async.Open(t.Context(), append([]async.Option{async.WithURL("memory://")}, opts...)...)
			if err == nil {
				must(t, other.Close())
			}
			return err
		}
		placed := func(opts ...async.SendOption) error {
			return ordersv1async.NewOrderEventsPublisher(rt).Placed(t.Context(), &ordersv1.OrderPlaced{}, opts...)
		}
		names := map[string]func(name string) error{
			"topic":             func(name string) error { return send(func(s *async.Spec) { s.Topic = name }) },
			"topic alias":       func(name string) error { return send(func(s *async.Spec) { s.Aliases = []string{name} }) },
			"group of the spec": func(name string) error { return send(func(s *async.Spec) { s.Group = name }) },
			"group alias":       func(name string) error { return send(func(s *async.Spec) { s.GroupAliases = []string{name} }) },
			"dead-letter topic": func(name string) error { return send(func(s *async.Spec) { s.Policy.DeadLetter.Topic = name }) },
			"group":             func(name string) error { return subscribe(async.WithGroup(name)) },
			"app":               func(name string) error { return open(async.WithApp(name)) },
			"namespace":         func(name string) error { return open(async.WithNamespace(name)) },
		}
		for place, use := range names {
			for _, name := range append(injections, misnamed...) {
				if err := use(name); err == nil {
					t.Errorf("%s %q is not refused", place, name)
				} else if strings.ContainsAny(err.Error(), "\r\n\x00\x1b\u2028") || len(err.Error()) > 700 {
					t.Errorf("%s %q: the error repeats it as it is: %q", place, name, err)
				}
			}
		}
		for _, text := range injections {
			for place, err := range map[string]error{"message id": placed(async.WithMessageID(text)), "header": placed(async.WithHeader(text, "v"))} {
				if !errors.Is(err, async.ErrInvalid) && !errors.Is(err, async.ErrTooLarge) {
					t.Errorf("%s %q: %v", place, text, err)
				}
			}
		}
	})
}

// TestKeysAreTextAndNothingElse: a key is the user's data, so what is text is carried as it is, and is a part of no name.
func TestKeysAreTextAndNothingElse(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		keys := make(chan string, 1)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error {
			info, _ := async.InfoFrom(ctx)
			keys <- info.Key
			return nil
		}))
		run(t, rt)
		publisher := ordersv1async.NewOrdersPublisher(rt)
		for _, key := range append(injections, misnamed...) {
			err := publisher.Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithKey(key))
			if strings.ContainsAny(key, "\r\n\x00\x1b\x7f") || !utf8.ValidString(key) || len(key) > 256 {
				if !errors.Is(err, async.ErrInvalid) && !errors.Is(err, async.ErrTooLarge) {
					t.Errorf("key %q: %v", key, err)
				}
				continue
			}
			must(t, err)
			if got := next(t, keys); got != key {
				t.Errorf("key %q became %q", key, got)
			}
		}
	})
}

// TestRepliesGoToCallersOnly: whoever can send a request cannot have its responder send to the queue of a group.
func TestRepliesGoToCallersOnly(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"memory", "amqp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, name)
			rt := w.open(t)
			shipped := make(chan string, 1)
			sub := ordersv1async.NewOrdersSubscriber(rt)
			must(t, sub.OnShip(func(_ context.Context, msg *ordersv1.ShipRequest) error {
				shipped <- msg.GetOrderId()
				return nil
			}))
			must(t, sub.OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
				return &ordersv1.QuoteResponse{Cents: 5}, nil
			}))
			run(t, rt)
			hostile := []string{transport.QueueName(w.topic(ordersv1async.OrdersShipTopic), "orders"), "async.delay.3"}
			for i, address := range hostile {
				id := fmt.Sprintf("q-%d", i)
				w.inject(t, transport.Publication{Topic: w.topic(ordersv1async.OrdersQuoteTopic), RoutingKey: "acme.orders.v1.QuoteRequest"}, id, nil, map[string]string{
					transport.MetaID: id, transport.MetaType: "acme.orders.v1.QuoteRequest", transport.MetaReplyTo: address, transport.MetaCorrelationID: "c",
				})
			}
			eventually(t, "the replies are not sent", func() bool { return rt.Stats().LostReplies == uint64(len(hostile)) })
			must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "o"}))
			if got := next(t, shipped); got != "o" || rt.Stats().DeadLettered != 0 {
				t.Errorf("got %q, and %+v", got, rt.Stats())
			}
		})
	}
}

// TestWhatAMiddlewareProducesGoesToATopic: the topic may come from data, and is held to the grammar.
func TestWhatAMiddlewareProducesGoesToATopic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "memory")
	var log strings.Builder
	failed := make(chan struct{}, 1)
	logger := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		if log.Len() == 0 && strings.Contains(string(p), "produced was not sent") {
			log.Write(p)
			failed <- struct{}{}
		}
		return len(p), nil
	}), nil))
	rt := w.open(t, async.WithLogger(logger), async.WithWatermillMiddleware(func(message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			out := message.NewMessage("p", nil)
			out.Metadata.Set("async-produce-topic", msg.Metadata.Get("to"))
			return []*message.Message{out}, nil
		}
	}))
	must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error { return nil }))
	run(t, rt)
	must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithHeader("to", "a--b")))
	next(t, failed)
	if !strings.Contains(log.String(), "use letters, digits") {
		t.Errorf("the log says %s", log.String())
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
