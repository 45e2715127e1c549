package async_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// trail records what happened in which order.
type trail struct {
	mu    sync.Mutex
	steps []string
}

func (l *trail) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, fmt.Sprintf(format, args...))
}

func (l *trail) interceptor(name string) async.Interceptor {
	return async.Interceptor{
		Send: func(next async.SendFunc) async.SendFunc {
			return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
				l.add("%s sends %s %s", name, out.Spec.Method, out.Message.(*ordersv1.ShipRequest).GetOrderId())
				if out.Headers == nil {
					out.Headers = async.Headers{}
				}
				out.Headers.Add("via", name)
				return next(ctx, out)
			}
		},
		Handle: func(next async.HandleFunc) async.HandleFunc {
			return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
				l.add("%s handles %s %v", name, in.Spec.Method, in.Info.Headers["via"])
				reply, err := next(ctx, in)
				l.add("%s is done: %v", name, err)
				return reply, err
			}
		},
	}
}

func TestInterceptorsWrapBothSidesInTheirOrder(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		var l trail
		done := make(chan struct{}, 1)
		rt := w.open(t, async.WithInterceptors(l.interceptor("outer")))
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
			l.add("handler")
			done <- struct{}{}
			return nil
		}, async.WithInterceptors(l.interceptor("inner"))))
		stop := run(t, rt)
		must(t, ordersv1async.NewOrdersPublisher(rt, async.WithInterceptors(l.interceptor("own"))).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		next(t, done)
		stop()
		want := []string{
			"outer sends Ship 1", "own sends Ship 1",
			"outer handles Ship [outer own]", "inner handles Ship [outer own]", "handler", "inner is done: <nil>", "outer is done: <nil>",
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if !slices.Equal(l.steps, want) {
			t.Errorf("got\n%s", strings.Join(l.steps, "\n"))
		}
	})
}

// pickyValidator has the shape of protovalidate's Validator.
type pickyValidator struct{}

type pickyOption func()

func (pickyValidator) Validate(msg proto.Message, _ ...pickyOption) error {
	if r, ok := msg.(*ordersv1.QuoteRequest); ok && r.GetQuantity() < 0 {
		return errors.New("quantity: must not be negative")
	}
	return nil
}

func TestAValidatorGuardsBothSides(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		server := w.serve(t, func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			return &ordersv1.QuoteResponse{}, nil
		}, async.WithValidator(pickyValidator{}))
		bad := &ordersv1.QuoteRequest{Quantity: -1}
		_, err := ordersv1async.NewOrdersClient(server).Quote(t.Context(), bad)
		wantErr(t, err, async.ErrInvalid)
		_, err = ordersv1async.NewOrdersClient(w.open(t)).Quote(t.Context(), bad)
		if async.CodeOf(err) != async.CodeInvalidArgument || !strings.Contains(err.Error(), "must not be negative") {
			t.Errorf("got %v", err)
		}
		eventually(t, "the invalid request is kept", func() bool { return server.Stats().DeadLettered == 1 })
	})
}

func TestWatermillMiddlewareIsHonoured(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		var l trail
		layer := func(name string) message.HandlerMiddleware {
			return func(h message.HandlerFunc) message.HandlerFunc {
				return func(msg *message.Message) ([]*message.Message, error) {
					if msg.Metadata.Get("ce-type") != "acme.orders.v1.ShipRequest" {
						return h(msg)
					}
					l.add("%s before", name)
					produced, err := h(msg)
					l.add("%s after", name)
					return produced, err
				}
			}
		}
		decide := func(h message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) {
				produced, err := h(msg)
				switch msg.Metadata.Get("do") {
				case "ack":
					msg.Ack()
				case "nack":
					if msg.Metadata.Get("async-attempt") == "" {
						msg.Nack()
					}
				case "produce":
					event, marshalErr := proto.Marshal(&ordersv1.OrderPlaced{OrderId: "produced"})
					if marshalErr != nil {
						return nil, marshalErr
					}
					out := message.NewMessage("produced-1", event)
					out.Metadata.Set("ce-id", "produced-1")
					out.Metadata.Set("ce-type", "acme.orders.v1.OrderPlaced")
					out.Metadata.Set("async-produce-topic", ordersv1async.OrderEventsPlacedTopic)
					produced = append(produced, out)
				}
				return produced, err
			}
		}
		rt := w.open(t, async.WithWatermillMiddleware(layer("outer"), layer("inner"), decide, middleware.CorrelationID))
		calls, placed := make(chan string, 20), make(chan string, 1)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, msg *ordersv1.ShipRequest) error {
			info, _ := async.InfoFrom(ctx)
			calls <- fmt.Sprint(msg.GetOrderId(), " ", info.Attempt)
			if msg.GetOrderId() == "acked" {
				return errors.New("the middleware acks all the same")
			}
			return nil
		}))
		must(t, ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(_ context.Context, msg *ordersv1.OrderPlaced) error {
			placed <- msg.GetOrderId()
			return nil
		}))
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			return &ordersv1.QuoteResponse{Cents: 5}, nil
		}))
		run(t, rt)
		orders := ordersv1async.NewOrdersPublisher(rt)
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "plain"}))
		if got := next(t, calls); got != "plain 1" {
			t.Errorf("got %s", got)
		}
		eventually(t, "the middlewares are done", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.steps) == 4 })
		if want := []string{"outer before", "inner before", "inner after", "outer after"}; !slices.Equal(l.steps, want) {
			t.Errorf("got %v", l.steps)
		}
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "acked"}, async.WithHeader("do", "ack")))
		next(t, calls)
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "nacked"}, async.WithHeader("do", "nack")))
		for _, want := range []string{"nacked 1", "nacked 2"} {
			if got := next(t, calls); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "producer"}, async.WithHeader("do", "produce")))
		next(t, calls)
		if got := next(t, placed); got != "produced" {
			t.Errorf("got %s", got)
		}
		res, err := ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{})
		if err != nil || res.GetCents() != 5 {
			t.Errorf("a reply through the middlewares: %v, %v", res, err)
		}
		if s := rt.Stats(); s.Retried != 1 || s.DeadLettered != 0 {
			t.Errorf("counted %+v", s)
		}
	})
}

func TestHandlersOnAWatermillRouter(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		got := make(chan string, 10)
		var failed sync.Once
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(_ context.Context, msg *ordersv1.ShipRequest) (err error) {
			failed.Do(func() { err = errors.New("once") }) // the router's own Retry tries again
			if err == nil {
				got <- msg.GetOrderId()
			}
			return err
		}))
		must(t, ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(_ context.Context, msg *ordersv1.OrderPlaced) error {
			got <- msg.GetOrderId()
			return nil
		}))
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(ctx context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			if req.GetSku() == "none" {
				return nil, async.NewError(async.CodeNotFound, "none")
			}
			return &ordersv1.QuoteResponse{Cents: 7}, async.SetReplyHeader(ctx, "color", "red")
		}))
		router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, watermill.NopLogger{})
		must(t, err)
		router.AddMiddleware(middleware.Retry{MaxRetries: 3, InitialInterval: time.Millisecond, Multiplier: 1}.Middleware)
		must(t, rt.MountOn(router))
		run(t, rt) // consumes nothing
		runRouter(t, router)
		caller := w.open(t)
		must(t, ordersv1async.NewOrdersPublisher(caller).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "command"}))
		must(t, ordersv1async.NewOrderEventsPublisher(caller).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "event"}))
		seen := map[string]bool{next(t, got): true, next(t, got): true}
		if !seen["command"] || !seen["event"] {
			t.Errorf("handled %v", seen)
		}
		call := ordersv1async.NewOrdersClient(caller).QuoteAsync(t.Context(), &ordersv1.QuoteRequest{})
		res, err := call.Wait(t.Context())
		if err != nil || res.GetCents() != 7 || call.Info().Headers.First("color") != "red" {
			t.Errorf("got %v, %v", res, err)
		}
		_, err = ordersv1async.NewOrdersClient(caller).Quote(t.Context(), &ordersv1.QuoteRequest{Sku: "none"})
		if async.CodeOf(err) != async.CodeNotFound {
			t.Errorf("got %v", err)
		}
	})
}

func TestAMountedHandlerIsSparedWhatAnotherRuntimePutAside(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		if !w.keepsDeadLetters() {
			return // and nothing is put aside
		}
		rt := w.open(t)
		spec := moves(async.KindCommand, nil)
		handled := make(chan int64, 2)
		onMoved(t, rt, spec, func(_ context.Context, order int64, _ int32) error {
			handled <- order
			return nil
		})
		router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, watermill.NopLogger{})
		must(t, err)
		must(t, rt.MountOn(router))
		runRouter(t, router)
		aside := map[string]string{
			transport.MetaType: spec.Type, transport.MetaDeadPending: "1", transport.MetaDeadReason: "max-attempts",
			transport.MetaDeadError: "broken", transport.MetaAttempt: "8",
		}
		w.inject(t, transport.Publication{Topic: transport.QueueName(w.topic(spec.Topic), spec.Group), Direct: true}, "aside", nil, aside)
		publish(t, rt, spec, 7, 1)
		if order := next(t, handled); order != 7 {
			t.Errorf("order %d was handled, which was put aside", order)
		}
		dead := w.deadLetters(t, spec.Topic, spec.Group, 1)[0]
		if dead[transport.MetaDeadReason] != "max-attempts" || dead[transport.MetaAttempt] != "8" || dead[transport.MetaDeadPending] != "" {
			t.Errorf("dead letter %v", dead)
		}
		if s := rt.Stats(); s.DeadLettered != 1 {
			t.Errorf("counted %+v", s)
		}
	})
}

// runRouter runs a router until the test ends.
func runRouter(t *testing.T, router *message.Router) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, next(t, ended))
	})
	<-router.Running()
}
