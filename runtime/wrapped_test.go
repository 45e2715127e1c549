package async_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// thirdParty is a Watermill pair of which nothing is known.
type thirdParty struct {
	pubsub *gochannel.GoChannel
	*async.Runtime
}

// unclosed is one subscriber of a pair that others still use: what it subscribed to ends with it.
type unclosed struct {
	message.Subscriber
	ctx    context.Context
	cancel context.CancelFunc
}

func (s *unclosed) Subscribe(_ context.Context, topic string) (<-chan *message.Message, error) {
	return s.Subscriber.Subscribe(s.ctx, topic)
}

func (s *unclosed) Close() error {
	s.cancel()
	return nil
}

func openThirdParty(t *testing.T) *thirdParty {
	t.Helper()
	pubsub := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 100}, watermill.NopLogger{})
	wrapped := transport.Wrap(pubsub, func(transport.Subscription) (message.Subscriber, error) {
		ctx, cancel := context.WithCancel(context.Background())
		return &unclosed{Subscriber: pubsub, ctx: ctx, cancel: cancel}, nil
	})
	rt, err := async.Open(t.Context(), async.WithTransport(wrapped), async.WithApp("app"), async.WithDrainTimeout(5*time.Second))
	must(t, err)
	t.Cleanup(func() { must(t, rt.Close()) })
	return &thirdParty{pubsub, rt}
}

func TestAnyWatermillPairCarriesEventsCommandsAndRequests(t *testing.T) {
	t.Parallel()
	p := openThirdParty(t)
	got := make(chan string, 10)
	sub := ordersv1async.NewOrdersSubscriber(p.Runtime)
	must(t, sub.OnShip(func(_ context.Context, msg *ordersv1.ShipRequest) error {
		got <- "ship " + msg.GetOrderId()
		return nil
	}))
	must(t, sub.OnQuote(func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		if req.GetSku() == "" {
			return nil, async.NewError(async.CodeInvalidArgument, "no sku")
		}
		return &ordersv1.QuoteResponse{Cents: 7}, nil
	}))
	must(t, ordersv1async.NewOrderEventsSubscriber(p.Runtime).OnPlaced(func(_ context.Context, msg *ordersv1.OrderPlaced) error {
		got <- "placed " + msg.GetOrderId()
		return nil
	}))
	run(t, p.Runtime)
	must(t, ordersv1async.NewOrderEventsPublisher(p.Runtime).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "1"}))
	if have := next(t, got); have != "placed 1" {
		t.Errorf("got %s", have)
	}
	must(t, ordersv1async.NewOrdersPublisher(p.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "2"}))
	if have := next(t, got); have != "ship 2" {
		t.Errorf("got %s", have)
	}
	client := ordersv1async.NewOrdersClient(p.Runtime)
	if res, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{Sku: "x"}); err != nil || res.GetCents() != 7 {
		t.Errorf("got %v, %v", res, err)
	}
	if _, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{}); async.CodeOf(err) != async.CodeInvalidArgument {
		t.Errorf("got %v", err)
	}
}

func TestAnyWatermillPairRetriesInProcessAndPublishesDeadLetters(t *testing.T) {
	t.Parallel()
	p := openThirdParty(t)
	attempts := make(chan int, 10)
	must(t, ordersv1async.NewOrdersSubscriber(p.Runtime).OnShip(func(ctx context.Context, msg *ordersv1.ShipRequest) error {
		info, _ := async.InfoFrom(ctx)
		attempts <- info.Attempt
		if msg.GetOrderId() == "later" && info.Attempt == 1 {
			return async.RetryAfter(50*time.Millisecond, errBroken)
		}
		if msg.GetOrderId() == "later" {
			return nil
		}
		return errBroken
	}))
	dead, err := p.pubsub.Subscribe(t.Context(), transport.DeadName(ordersv1async.OrdersShipTopic, "orders"))
	must(t, err)
	run(t, p.Runtime)
	orders := ordersv1async.NewOrdersPublisher(p.Runtime)
	must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1", RequestId: "req"}))
	for want := 1; want <= 3; want++ {
		if n := next(t, attempts); n != want {
			t.Errorf("attempt %d, want %d", n, want)
		}
	}
	msg := next(t, dead)
	msg.Ack()
	for name, want := range map[string]string{
		"ce-id": "req", "async-dead-reason": "max-attempts", "async-attempt": "3", "async-dead-group": "orders", "async-dead-error": "broken",
	} {
		if have := msg.Metadata.Get(name); have != want {
			t.Errorf("%s is %q, want %q", name, have, want)
		}
	}
	eventually(t, "it is counted", func() bool { return p.Stats().DeadLettered == 1 })
	start := time.Now()
	must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "later"}))
	next(t, attempts)
	if n := next(t, attempts); n != 2 || time.Since(start) < 50*time.Millisecond {
		t.Errorf("attempt %d after %s", n, time.Since(start))
	}
}

func TestWhatAnUnknownWatermillPairCannotIsRefused(t *testing.T) {
	t.Parallel()
	ordered := moves(async.KindEvent, func(s *async.Spec) { s.Policy.Ordering = async.OrderingByKey })
	renamed := moves(async.KindCommand, func(s *async.Spec) { s.GroupAliases = []string{"before"} })
	for name, c := range map[string]struct {
		names string
		do    func(t *testing.T, rt *async.Runtime) error
	}{
		"a delayed send": {"watermill", func(t *testing.T, rt *async.Runtime) error {
			return ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithDelay(time.Second))
		}},
		"a send at a time": {"watermill", func(t *testing.T, rt *async.Runtime) error {
			return ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithDeliverAt(time.Now().Add(time.Hour)))
		}},
		"a send in order": {"watermill", func(t *testing.T, rt *async.Runtime) error {
			return async.NewPublisher[*ordersv1.OrderMoved](rt, ordered).Send(t.Context(), &ordersv1.OrderMoved{})
		}},
		"a subscription in order": {"watermill", func(t *testing.T, rt *async.Runtime) error {
			return async.NewSubscriber[*ordersv1.OrderMoved](rt, ordered).On(func(context.Context, *ordersv1.OrderMoved) error { return nil })
		}},
		"a broadcast": {"watermill", func(t *testing.T, rt *async.Runtime) error {
			return ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error { return nil }, async.WithBroadcast())
		}},
		"a renamed group": {"GroupAliases", func(t *testing.T, rt *async.Runtime) error {
			return errors.Join(
				async.NewSubscriber[*ordersv1.OrderMoved](rt, renamed).On(func(context.Context, *ordersv1.OrderMoved) error { return nil }),
				rt.Run(t.Context()),
			)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.do(t, openThirdParty(t).Runtime)
			wantErr(t, err, async.ErrUnsupported)
			if !strings.Contains(err.Error(), c.names) {
				t.Errorf("the error does not name %s: %v", c.names, err)
			}
		})
	}
}
