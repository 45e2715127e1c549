package acceptance_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// trail remembers steps in their order.
type trail struct {
	mu    sync.Mutex
	steps []string
}

func (tr *trail) add(step string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.steps = append(tr.steps, step)
}

func (tr *trail) read() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.steps)
}

// around is a middleware that tells when a message passes it on the way in and out.
func (tr *trail) around(name string) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			tr.add(name + " in")
			produced, err := next(msg)
			tr.add(name + " out")
			return produced, err
		}
	}
}

// shipThrough sends one command through middlewares to a handler.
func shipThrough(t *testing.T, r *realm, handle func(context.Context) error, middleware ...message.HandlerMiddleware) *async.Runtime {
	t.Helper()
	rt := r.open(t, async.WithWatermillMiddleware(middleware...))
	err := ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error { return handle(ctx) })
	if err != nil {
		t.Fatal(err)
	}
	start(t, rt)
	if err := ordersv1async.NewOrdersPublisher(rt).Ship(bounded(t), &ordersv1.ShipRequest{OrderId: "o-1"}); err != nil {
		t.Fatal(err)
	}
	return rt
}

func (r *realm) awaitShipped(t *testing.T) {
	t.Helper()
	queue := r.queue(ordersv1async.OrdersShipTopic, "orders")
	eventually(t, "nothing waits in "+queue, func() bool {
		waiting, _ := r.inspect(t, queue)
		return waiting == 0
	})
}

func TestMiddlewaresWrapTheHandlerTheFirstOutermost(t *testing.T) {
	t.Parallel()
	var tr trail
	shipThrough(t, newRealm(t), func(context.Context) error {
		tr.add("handler")
		return nil
	}, tr.around("first"), tr.around("second"))
	want := []string{"first in", "second in", "handler", "second out", "first out"}
	eventually(t, "the message has passed", func() bool { return len(tr.read()) >= len(want) })
	if got := tr.read(); !slices.Equal(got, want) {
		t.Errorf("the steps are %v, want %v", got, want)
	}
}

func TestAMiddlewareThatFailsTwiceMakesThreeAttempts(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	var seen attempts
	handled := make(chan int, 1)
	calls := 0
	var mu sync.Mutex
	flaky := func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			mu.Lock()
			calls++
			fail := calls <= 2
			mu.Unlock()
			if fail {
				return nil, errors.New("not yet")
			}
			return next(msg)
		}
	}
	rt := shipThrough(t, r, func(ctx context.Context) error {
		seen.add(ctx, "o-1")
		handled <- 1
		return nil
	}, flaky)
	await(t, handled, "the third attempt")
	r.awaitShipped(t)
	if got := seen.of("o-1"); !slices.Equal(got, []int{3}) {
		t.Errorf("the handler saw the attempts %v, want 3 alone", got)
	}
	if s := rt.Stats(); s.Retried != 2 || s.DeadLettered != 0 {
		t.Errorf("the stats are %+v, want 2 retries and no dead letter", s)
	}
}

func TestAMiddlewareThatAcksOverrulesTheHandlersError(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	passed := make(chan struct{}, 1)
	rt := shipThrough(t, r, func(context.Context) error { return errors.New("no") },
		func(next message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) {
				produced, err := next(msg)
				msg.Ack()
				passed <- struct{}{}
				return produced, err
			}
		})
	await(t, passed, "the middleware")
	r.awaitShipped(t)
	if err := rt.Close(); err != nil {
		t.Fatal(err)
	}
	waiting, _ := r.inspect(t, r.queue(ordersv1async.OrdersShipTopic, "orders"))
	dead, _ := r.inspect(t, r.queue(ordersv1async.OrdersShipTopic, "orders")+"--dead")
	if s := rt.Stats(); waiting+dead != 0 || s != (async.Stats{}) {
		t.Errorf("%d messages wait, %d are dead letters, the stats are %+v; want an acknowledged message", waiting, dead, s)
	}
}

func TestAMiddlewareThatNacksOverrulesTheHandlersSuccess(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	handled := make(chan int, 8)
	shipThrough(t, r, func(ctx context.Context) error {
		info, _ := async.InfoFrom(ctx)
		handled <- info.Attempt
		return nil
	}, func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			produced, err := next(msg)
			msg.Nack()
			return produced, err
		}
	})
	for want := 1; want <= 3; want++ {
		if got := await(t, handled, "an attempt"); got != want {
			t.Errorf("attempt %d, want %d", got, want)
		}
	}
	dead := r.queue(ordersv1async.OrdersShipTopic, "orders") + "--dead"
	eventually(t, "the message is a dead letter after its last attempt", func() bool {
		waiting, _ := r.inspect(t, dead)
		return waiting == 1
	})
}

func TestAMessageThatAMiddlewareProducesIsSent(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	s := r.stranger(t)
	queue, err := s.DeclareGroup(r.topic("shipments"), "stranger", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := r.ch.QueueDelete(queue, false, false, false)
		_, err2 := r.ch.QueueDelete(queue+"--dead", false, false, false)
		if err := errors.Join(err, err2, r.ch.ExchangeDelete(r.topic("shipments"), false, false)); err != nil {
			t.Error(err)
		}
	})
	deliveries, err := s.Consume(queue)
	if err != nil {
		t.Fatal(err)
	}
	shipThrough(t, r, func(context.Context) error { return nil }, func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			produced, err := next(msg)
			out := message.NewMessage(watermill.NewUUID(), []byte("shipped"))
			out.Metadata.Set("async-produce-topic", "shipments")
			out.Metadata.Set("ce-type", "shipped")
			return append(produced, out), err
		}
	})
	d := await(t, deliveries, "the produced message")
	if string(d.Body) != "shipped" || d.RoutingKey != "shipped" {
		t.Errorf("the produced message is %q with routing key %q", d.Body, d.RoutingKey)
	}
	if err := d.Ack(false); err != nil {
		t.Fatal(err)
	}
	r.awaitShipped(t)
}

func TestAWatermillRouterHostsAnEventACommandAndARequest(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	rt := r.open(t, async.WithApp("billing"))
	got := make(chan received, 2)
	events, orders := ordersv1async.NewOrderEventsSubscriber(rt), ordersv1async.NewOrdersSubscriber(rt)
	err := errors.Join(
		events.OnPlaced(func(ctx context.Context, e *ordersv1.OrderPlaced) error { return receive(ctx, e, got) }),
		orders.OnShip(func(ctx context.Context, c *ordersv1.ShipRequest) error { return receive(ctx, c, got) }),
		orders.OnQuote(func(ctx context.Context, q *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			if q.GetSku() == "unknown" {
				return nil, async.NewError(async.CodeNotFound, "no such sku")
			}
			return &ordersv1.QuoteResponse{Cents: price(q.GetSku())}, async.SetReplyHeader(ctx, "price-list", "2026")
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	var tr trail
	router.AddMiddleware(tr.around("router"))
	if err := rt.MountOn(router); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := errors.Join(router.Close(), <-ended); err != nil {
			t.Errorf("the router: %v", err)
		}
	})
	<-router.Running()

	sender := r.open(t, async.WithApp("shop"))
	event, command := &ordersv1.OrderPlaced{OrderId: "o-1"}, &ordersv1.ShipRequest{OrderId: "o-2"}
	if err := ordersv1async.NewOrderEventsPublisher(sender).Placed(bounded(t), event); err != nil {
		t.Fatal(err)
	}
	in := await(t, got, "the event")
	equal(t, "the event", in.msg, event)
	if in.info.Source != "shop" || in.info.Group != "billing" {
		t.Errorf("the info is %+v", in.info)
	}
	if err := ordersv1async.NewOrdersPublisher(sender).Ship(bounded(t), command); err != nil {
		t.Fatal(err)
	}
	equal(t, "the command", await(t, got, "the command").msg, command)

	client := ordersv1async.NewOrdersClient(sender)
	call := client.QuoteAsync(bounded(t), &ordersv1.QuoteRequest{Sku: "nut"})
	reply, err := call.Wait(bounded(t))
	if err != nil || reply.GetCents() != price("nut") {
		t.Fatalf("the reply is %v, %v", reply, err)
	}
	if header := call.Info().Headers.First("price-list"); header != "2026" {
		t.Errorf("the reply header is %q, want 2026", header)
	}
	_, err = client.Quote(bounded(t), &ordersv1.QuoteRequest{Sku: "unknown"})
	if failure := remote(t, err); failure.Code != async.CodeNotFound || failure.Message != "no such sku" {
		t.Errorf("the call's error is %v", failure)
	}
	if steps := tr.read(); len(steps) < 8 {
		t.Errorf("the router's own middleware saw %v, want four messages", steps)
	}
}
