package acceptance_test

import (
	"context"
	"errors"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/test/acceptance/internal/stranger"
)

// documented is what docs/wire.md says about the queues of the contract.
var documented = []struct {
	topic, group string
	ordered      bool
}{
	{ordersv1async.OrderEventsPlacedTopic, "billing", false},
	{ordersv1async.OrderEventsMovedTopic, "billing", true},
	{ordersv1async.OrdersShipTopic, "orders", false},
	{ordersv1async.OrdersArchiveTopic, "orders", false},
	{ordersv1async.OrdersQuoteTopic, "orders", false},
}

func declareDocumented(t *testing.T, r *realm, s *stranger.Stranger) {
	t.Helper()
	for _, d := range documented {
		if _, err := s.DeclareGroup(r.topic(d.topic), d.group, d.ordered); err != nil {
			t.Fatal(err)
		}
	}
}

// registerAll registers a handler of every rpc.
func registerAll(t *testing.T, rt *async.Runtime) {
	t.Helper()
	if err := ordersv1async.RegisterOrderEventsHandler(rt, ordersv1async.UnimplementedOrderEventsHandler{}); err != nil {
		t.Fatal(err)
	}
	if err := ordersv1async.RegisterOrdersHandler(rt, ordersv1async.UnimplementedOrdersHandler{}); err != nil {
		t.Fatal(err)
	}
}

func TestQueuesOfTheRuntimeAreThoseThatTheWireDocumentLists(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	rt := r.open(t, async.WithApp("billing"))
	registerAll(t, rt)
	start(t, rt)
	declareDocumented(t, r, r.stranger(t))
}

func TestTheRuntimeTakesQueuesThatAStrangerDeclaredByTheWireDocument(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	declareDocumented(t, r, r.stranger(t))
	rt := r.open(t, async.WithApp("billing"))
	registerAll(t, rt)
	start(t, rt)
	if err := rt.Health(bounded(t)).Err(); err != nil {
		t.Error(err)
	}
}

func TestTheReplyQueueIsAsTheWireDocumentSays(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	s := r.stranger(t)
	queue, err := s.DeclareGroup(r.topic(ordersv1async.OrdersQuoteTopic), "orders", false)
	if err != nil {
		t.Fatal(err)
	}
	requests, err := s.Consume(queue)
	if err != nil {
		t.Fatal(err)
	}
	call := ordersv1async.NewOrdersClient(r.open(t)).QuoteAsync(bounded(t), new(ordersv1.QuoteRequest))
	d := takeFrom(t, requests, new(ordersv1.QuoteRequest))
	if err := s.DeclareReplies(d.ReplyTo); err != nil {
		t.Error(err)
	}
	if _, consumers := r.inspect(t, d.ReplyTo); consumers != 1 {
		t.Errorf("the reply queue has %d consumers, want 1", consumers)
	}
	if err := s.Reply(bounded(t), &d, 0, new(ordersv1.QuoteResponse)); err != nil {
		t.Fatal(err)
	}
	if _, err := call.Wait(bounded(t)); err != nil {
		t.Error(err)
	}
}

func TestABroadcastQueueIsAsTheWireDocumentSays(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	got := make(chan received, 2)
	var runtimes [2]*async.Runtime
	for i := range runtimes {
		rt := r.open(t)
		runtimes[i] = rt
		err := ordersv1async.NewOrderEventsSubscriber(rt, async.WithBroadcast()).OnPlaced(func(ctx context.Context, e *ordersv1.OrderPlaced) error {
			return errors.Join(receive(ctx, e, got), async.Reject(errors.New("no")))
		})
		if err != nil {
			t.Fatal(err)
		}
		start(t, rt)
	}
	s := r.stranger(t)
	topic := r.topic(ordersv1async.OrderEventsPlacedTopic)
	if err := s.Publish(bounded(t), topic, "event-1", &ordersv1.OrderPlaced{OrderId: "o-1"}); err != nil {
		t.Fatal(err)
	}
	first, second := await(t, got, "the event"), await(t, got, "the event in the other process")
	if first.info.Group == second.info.Group {
		t.Fatalf("both processes are in the group %s", first.info.Group)
	}
	for _, rt := range runtimes {
		eventually(t, "the rejected event is dropped", func() bool { return rt.Stats().Dropped == 1 })
	}
	for _, group := range []string{first.info.Group, second.info.Group} {
		queue, err := s.DeclareBroadcast(topic, group)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := r.ch.QueueDelete(queue, false, false, false); err != nil {
				t.Errorf("delete queue %s: %v", queue, err)
			}
		})
		var refused *amqp.Error
		_, err = dial(t).QueueDeclarePassive(queue+"--dead", true, false, false, false, nil)
		if !errors.As(err, &refused) || refused.Code != amqp.NotFound {
			t.Errorf("a queue of dead letters stays behind the process: %v", err)
		}
	}
}
