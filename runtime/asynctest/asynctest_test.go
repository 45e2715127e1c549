package asynctest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asynctest"
	"github.com/asyncpb/async/runtime/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	placed = ordersv1async.OrderEventsName + "/Placed"
	ship   = ordersv1async.OrdersName + "/Ship"
	quote  = ordersv1async.OrdersName + "/Quote"
)

// shop ships what is placed. It is what a user would test.
type shop struct {
	ordersv1async.UnimplementedOrdersHandler

	orders ordersv1async.OrdersPublisher

	mu      sync.Mutex
	shipped map[string]int
}

func openShop(t asynctest.T, opts ...async.Option) (*asynctest.Runtime, *shop) {
	t.Helper()
	rt := asynctest.New(t, opts...)
	s := &shop{orders: ordersv1async.NewOrdersPublisher(rt.Runtime), shipped: make(map[string]int)}
	err := errors.Join(
		ordersv1async.NewOrderEventsSubscriber(rt.Runtime).OnPlaced(s.placed),
		ordersv1async.RegisterOrdersHandler(rt.Runtime, s),
	)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rt, s
}

func (s *shop) placed(ctx context.Context, order *ordersv1.OrderPlaced) error {
	return s.orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: order.GetOrderId()})
}

func (s *shop) Ship(_ context.Context, req *ordersv1.ShipRequest) error {
	if req.GetOrderId() == "nowhere" {
		return async.Reject(errors.New("nobody goes there"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shipped[req.GetOrderId()]++
	return nil
}

func (s *shop) Quote(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
	return &ordersv1.QuoteResponse{Cents: 5}, nil
}

func (s *shop) times(order string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shipped[order]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func place(t *testing.T, rt *asynctest.Runtime, order string, opts ...async.SendOption) {
	t.Helper()
	must(t, ordersv1async.NewOrderEventsPublisher(rt.Runtime).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: order}, opts...))
}

func TestTheListsTellWhatHappened(t *testing.T) {
	t.Parallel()
	rt, _ := openShop(t)
	rt.Start()
	place(t, rt, "A-1", async.WithMessageID("first"), async.WithHeader("color", "red"))
	rt.WaitIdle(time.Minute)
	must(t, ordersv1async.NewOrdersPublisher(rt.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "nowhere", RequestId: "second"}))
	rt.WaitIdle(time.Minute)

	wantPublished := []asynctest.Publication{
		{
			RPC: placed, ID: "first", Key: "A-1", Topic: ordersv1async.OrderEventsPlacedTopic,
			Headers: async.Headers{"color": {"red"}}, Message: &ordersv1.OrderPlaced{OrderId: "A-1"},
		},
		{RPC: ship, Topic: ordersv1async.OrdersShipTopic, Message: &ordersv1.ShipRequest{OrderId: "A-1"}},
		{RPC: ship, ID: "second", Topic: ordersv1async.OrdersShipTopic, Message: &ordersv1.ShipRequest{OrderId: "nowhere", RequestId: "second"}},
	}
	fresh := cmpopts.IgnoreFields(asynctest.Publication{}, "ID")
	published := rt.Published()
	if diff := cmp.Diff(wantPublished, published, protocmp.Transform(), fresh); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if published[0].ID != "first" || published[2].ID != "second" {
		t.Errorf("the ids are %q and %q", published[0].ID, published[2].ID)
	}
	var verdicts []string
	for _, a := range rt.Attempts() {
		verdicts = append(verdicts, fmt.Sprintf("%s %s %d: %v", a.RPC, a.Group, a.Number, a.Verdict))
	}
	wantVerdicts := map[string]bool{
		placed + " test 1: <nil>":                       true,
		ship + " orders 1: <nil>":                       true,
		ship + " orders 1: rejected: nobody goes there": true,
	}
	for _, v := range verdicts {
		if !wantVerdicts[v] {
			t.Errorf("the attempt %q is not expected", v)
		}
	}
	if len(verdicts) != len(wantVerdicts) {
		t.Errorf("attempts: %q", verdicts)
	}
	if handled := asynctest.Handled[*ordersv1.ShipRequest](rt); len(handled) != 1 || handled[0].GetOrderId() != "A-1" {
		t.Errorf("handled %v", handled)
	}
	if all := asynctest.Handled[proto.Message](rt); len(all) != 2 {
		t.Errorf("handled %v", all)
	}
	wantDead := []asynctest.DeadLetter{{
		RPC: ship, Group: "orders", ID: "second", Attempts: 1, Queue: transport.DeadName(ordersv1async.OrdersShipTopic, "orders"),
		Reason: "rejected", Error: "nobody goes there", Message: &ordersv1.ShipRequest{OrderId: "nowhere", RequestId: "second"},
	}}
	if diff := cmp.Diff(wantDead, rt.DeadLetters(), protocmp.Transform(), cmpopts.IgnoreFields(asynctest.DeadLetter{}, "Payload", "Metadata")); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	if dead := asynctest.DeadLetters[*ordersv1.ShipRequest](rt); len(dead) != 1 {
		t.Errorf("dead letters %v", dead)
	}
}

func TestWhatIsListedIsACopy(t *testing.T) {
	t.Parallel()
	rt := asynctest.New(t)
	msg := &ordersv1.OrderPlaced{OrderId: "A-1"}
	must(t, ordersv1async.NewOrderEventsSubscriber(rt.Runtime).OnPlaced(func(_ context.Context, got *ordersv1.OrderPlaced) error {
		got.OrderId = "changed by the handler"
		return nil
	}))
	rt.Start()
	must(t, ordersv1async.NewOrderEventsPublisher(rt.Runtime).Placed(t.Context(), msg))
	msg.OrderId = "changed by the sender"
	rt.WaitIdle(time.Minute)
	for list, got := range map[string][]*ordersv1.OrderPlaced{
		"published": asynctest.Published[*ordersv1.OrderPlaced](rt), "handled": asynctest.Handled[*ordersv1.OrderPlaced](rt),
	} {
		if len(got) != 1 || got[0].GetOrderId() != "A-1" {
			t.Errorf("%s: %v", list, got)
		}
	}
}

func TestRetriesTakeNoTimeInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt, _ := openShop(t)
		rt.Start()
		rt.FailNext(placed, 7, errors.New("no luck"))
		place(t, rt, "A-1", async.WithDelay(7*24*time.Hour))
		start := time.Now()
		rt.WaitIdle(8 * 24 * time.Hour)
		if passed := time.Since(start); passed < 7*24*time.Hour {
			t.Errorf("idle after %s", passed)
		}
		attempts := rt.Attempts()
		if len(attempts) != 9 || attempts[6].Verdict == nil || attempts[7].Verdict != nil || attempts[7].Number != 8 {
			t.Errorf("attempts: %v", attempts)
		}
		if n := rt.Stats().Retried; n != 7 {
			t.Errorf("%d retries", n)
		}
	})
}

func TestFailuresThatGoOnMakeADeadLetter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt, s := openShop(t)
		rt.Start()
		rt.FailNext(ship, 3, nil)
		must(t, s.orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}))
		rt.WaitIdle(time.Hour)
		dead := rt.DeadLetters()
		if len(dead) != 1 || dead[0].Reason != "max-attempts" || dead[0].Attempts != 3 || dead[0].Error != asynctest.ErrInjected.Error() {
			t.Errorf("dead letters: %+v", dead)
		}
		if s.times("A-1") != 0 {
			t.Error("the handler was called")
		}
	})
}

func TestAnInjectedFailureOfARequestIsItsReply(t *testing.T) {
	t.Parallel()
	rt, _ := openShop(t)
	rt.Start()
	rt.FailNext(quote, 1, async.NewError(async.CodeUnavailable, "billing is down"))
	client := ordersv1async.NewOrdersClient(rt.Runtime)
	_, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{})
	if async.CodeOf(err) != async.CodeUnavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	res, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{})
	if err != nil || res.GetCents() != 5 {
		t.Errorf("got %v, %v", res, err)
	}
	rt.WaitIdle(time.Minute)
	attempts := rt.Attempts()
	if len(attempts) != 2 || attempts[0].Reply != nil || attempts[1].Reply == nil {
		t.Errorf("attempts: %v", attempts)
	}
}

func TestFailedSendsAreNotPublished(t *testing.T) {
	t.Parallel()
	rt := asynctest.New(t)
	orders := ordersv1async.NewOrdersPublisher(rt.Runtime)
	rt.FailNextSends(ship, 1, nil)
	rt.FailNextSends(ship, 1, async.ErrUnknown)
	for _, want := range []error{async.ErrNacked, async.ErrUnknown, nil} {
		if err := orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if got := asynctest.Published[*ordersv1.ShipRequest](rt); len(got) != 1 {
		t.Errorf("published %v", got)
	}
}

func TestDeliverTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt, s := openShop(t)
		rt.DeliverTwice()
		rt.Start()
		rt.FailNext(ship, 1, nil)
		place(t, rt, "A-1")
		must(t, s.orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "nowhere"}))
		res, err := ordersv1async.NewOrdersClient(rt.Runtime).Quote(t.Context(), &ordersv1.QuoteRequest{})
		if err != nil || res.GetCents() != 5 {
			t.Errorf("got %v, %v", res, err)
		}
		rt.WaitIdle(time.Hour)
		// Placed was handled twice, and each time sent a Ship that was handled twice; the rejected one came once.
		if n := s.times("A-1"); n != 4 {
			t.Errorf("A-1 was shipped %d times, want 4", n)
		}
		if n := len(asynctest.Handled[*ordersv1.OrderPlaced](rt)); n != 2 {
			t.Errorf("Placed was handled %d times, want 2", n)
		}
		if n := len(asynctest.Handled[*ordersv1.QuoteRequest](rt)); n != 2 {
			t.Errorf("Quote was handled %d times, want 2", n)
		}
		if n := len(rt.DeadLetters()); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
	})
}

func TestOrderedMessagesComeTwiceInOrder(t *testing.T) {
	t.Parallel()
	rt := asynctest.New(t)
	rt.DeliverTwice()
	must(t, ordersv1async.NewOrderEventsSubscriber(rt.Runtime).OnMoved(func(context.Context, *ordersv1.OrderMoved) error { return nil }))
	rt.Start()
	events := ordersv1async.NewOrderEventsPublisher(rt.Runtime)
	var moves []*ordersv1.OrderMoved
	for step := range int32(20) {
		moves = append(moves, &ordersv1.OrderMoved{Order: 1, Step: step})
	}
	must(t, events.MovedBatch(t.Context(), moves))
	rt.WaitIdle(time.Minute)
	first := make(map[int32]bool)
	var firsts []int32
	handled := asynctest.Handled[*ordersv1.OrderMoved](rt)
	for _, m := range handled {
		if !first[m.GetStep()] {
			first[m.GetStep()] = true
			firsts = append(firsts, m.GetStep())
		}
	}
	for i, step := range firsts {
		if int(step) != i {
			t.Fatalf("first handled in the order %v", firsts)
		}
	}
	if len(handled) != 40 {
		t.Errorf("handled %d times, want 40", len(handled))
	}
}

func TestASettlementByHandIsListedWhenItsLaneWasHeldForTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt := asynctest.New(t)
		subscriber := ordersv1async.NewOrderEventsSubscriber(rt.Runtime)
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := subscriber.ReceiveMoved(first); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("received before anything was sent: %v", err)
		}
		must(t, ordersv1async.NewOrderEventsPublisher(rt.Runtime).Moved(t.Context(), &ordersv1.OrderMoved{Order: 1}))
		for range 2 {
			d, err := subscriber.ReceiveMoved(t.Context())
			must(t, err)
			must(t, d.Settle(t.Context(), async.RetryAfter(time.Hour, errors.New("not yet"))))
		}
		rt.WaitIdle(time.Minute)
		dead := rt.DeadLetters()
		if len(dead) != 1 || dead[0].Reason != "retry-time" || dead[0].Attempts != 2 {
			t.Fatalf("dead letters: %v", dead)
		}
		attempts := rt.Attempts()
		if len(attempts) != 1 || attempts[0].Number != 2 || attempts[0].Verdict == nil || attempts[0].Verdict.Error() != dead[0].Error {
			t.Errorf("attempts: %+v", attempts)
		}
	})
}

func TestBatchesAndSettlementsByHandAreListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt := asynctest.New(t)
		must(t, ordersv1async.NewOrderEventsSubscriber(rt.Runtime).OnPlacedBatch(func(ctx context.Context, batch []*async.Delivery[*ordersv1.OrderPlaced]) error {
			for _, d := range batch {
				switch {
				case d.Msg.GetOrderId() == "bad":
					must(t, d.Settle(ctx, async.Reject(errors.New("bad one"))))
				case d.Info().Attempt == 1:
					must(t, d.Settle(ctx, errors.New("later")))
				}
			}
			return nil
		}))
		rt.Start()
		place(t, rt, "good")
		place(t, rt, "bad")
		place(t, rt, "late", async.WithTTL(time.Nanosecond))
		rt.WaitIdle(time.Hour)
		got := make(map[string]int)
		for _, a := range rt.Attempts() {
			got[fmt.Sprintf("%s %s %d: %v", a.RPC, a.Message.(*ordersv1.OrderPlaced).GetOrderId(), a.Number, a.Verdict)]++
		}
		want := map[string]int{
			placed + " good 1: " + asynctest.ErrTriedAgain.Error(): 1,
			placed + " good 2: <nil>":                              1,
			placed + " bad 1: bad one":                             1,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
}

func TestWhatNoHandlerSawIsADeadLetterAndNoAttempt(t *testing.T) {
	t.Parallel()
	// The same contract, with another type of message: what a sender that is ahead, or behind, would send.
	wrong := &async.Spec{
		Service: ordersv1async.OrdersName, Method: "Ship", Kind: async.KindCommand, Topic: ordersv1async.OrdersShipTopic, Group: "orders",
		Type: "acme.orders.v1.ArchiveRequest", Input: func() proto.Message { return new(ordersv1.ArchiveRequest) },
	}
	rt, _ := openShop(t)
	rt.Start()
	must(t, async.NewPublisher[*ordersv1.ArchiveRequest](rt.Runtime, wrong).Send(t.Context(), &ordersv1.ArchiveRequest{OrderId: "A-1"}))
	rt.WaitIdle(time.Minute)
	if attempts := rt.Attempts(); len(attempts) != 0 {
		t.Errorf("attempts: %v", attempts)
	}
	dead := rt.DeadLetters()
	if len(dead) != 1 || dead[0].Reason != "wrong-type" || len(asynctest.DeadLetters[*ordersv1.ArchiveRequest](rt)) != 1 {
		t.Errorf("dead letters: %v", dead)
	}
}

func TestAPanicIsAVerdictToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt := asynctest.New(t)
		calls := 0
		must(t, ordersv1async.NewOrdersSubscriber(rt.Runtime).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
			if calls++; calls == 1 {
				panic("oh no")
			}
			return nil
		}))
		rt.Start()
		must(t, ordersv1async.NewOrdersPublisher(rt.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{}))
		rt.WaitIdle(time.Hour)
		attempts := rt.Attempts()
		if len(attempts) != 2 || !errors.Is(attempts[0].Verdict, asynctest.ErrNoReturn) || attempts[1].Verdict != nil {
			t.Errorf("attempts: %v", attempts)
		}
	})
}

func TestPulledDeliveriesCount(t *testing.T) {
	t.Parallel()
	rt := asynctest.New(t)
	orders := ordersv1async.NewOrdersPublisher(rt.Runtime)
	subscriber := ordersv1async.NewOrdersSubscriber(rt.Runtime)
	for _, id := range []string{"A-1", "A-2"} {
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: id}))
	}
	first, err := subscriber.ReceiveShip(t.Context())
	must(t, err)
	must(t, first.Process(t.Context(), func(context.Context, *ordersv1.ShipRequest) error { return nil }))
	second, err := subscriber.ReceiveShip(t.Context())
	must(t, err)
	must(t, second.Settle(t.Context(), nil))
	rt.WaitIdle(time.Minute)
	want := []*ordersv1.ShipRequest{{OrderId: "A-1"}, {OrderId: "A-2"}}
	if diff := cmp.Diff(want, asynctest.Handled[*ordersv1.ShipRequest](rt), protocmp.Transform()); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

// witness is a T that remembers its failures.
type witness struct {
	*testing.T

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (w *witness) Cleanup(f func()) { w.cleanups = append(w.cleanups, f) }

func (w *witness) Errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	runtime.Goexit()
}

// try runs a test that may fail, with its end, and returns what it failed with.
func try(t *testing.T, test func(t asynctest.T)) string {
	t.Helper()
	w := &witness{T: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, cleanup := range slices.Backward(w.cleanups) {
				cleanup()
			}
		}()
		test(w)
	}()
	<-done
	return strings.Join(w.failures, "\n")
}

func TestWhatFailsATest(t *testing.T) {
	t.Parallel()
	send := func(t asynctest.T, rt *asynctest.Runtime, opts ...async.SendOption) {
		if err := ordersv1async.NewOrdersPublisher(rt.Runtime).Ship(t.Context(), &ordersv1.ShipRequest{}, opts...); err != nil {
			t.Fatalf("%v", err)
		}
	}
	tests := map[string]struct {
		test func(t asynctest.T)
		want string
	}{
		"a message is delayed for longer than the test waits": {
			test: func(t asynctest.T) {
				rt, _ := openShop(t)
				rt.Start()
				send(t, rt, async.WithDelay(time.Hour))
				rt.WaitIdle(time.Second)
			},
			want: "not idle after 1s:\n  acme.orders.v1.Orders.Ship--orders: 1 delayed",
		},
		"a handler is still at work": {
			test: func(t asynctest.T) {
				rt := asynctest.New(t)
				if err := ordersv1async.NewOrdersSubscriber(rt.Runtime).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error {
					<-ctx.Done()
					return ctx.Err()
				}); err != nil {
					t.Fatalf("%v", err)
				}
				rt.Start()
				send(t, rt)
				rt.WaitIdle(time.Second)
			},
			want: "1 received and not settled",
		},
		"a binding is paused": {
			test: func(t asynctest.T) {
				rt, _ := openShop(t)
				rt.Start()
				if err := rt.Pause(ship); err != nil {
					t.Fatalf("%v", err)
				}
				send(t, rt)
				rt.WaitIdle(time.Second)
			},
			want: "1 waiting; nothing consumes it now",
		},
		"the runtime was not started": {
			test: func(t asynctest.T) {
				rt, _ := openShop(t)
				send(t, rt)
				rt.WaitIdle(time.Second)
			},
			want: "call Start before WaitIdle",
		},
		"the runtime was started twice": {
			test: func(t asynctest.T) {
				rt, _ := openShop(t)
				rt.Start()
				rt.Start()
			},
			want: "Start was called before",
		},
		"the wiring is wrong": {
			test: func(t asynctest.T) {
				rt, _ := openShop(t, async.WithNamespace(strings.Repeat("n", 250)))
				rt.Start()
			},
			want: "too large",
		},
		"the configuration is wrong": {
			test: func(t asynctest.T) { asynctest.New(t, async.WithConfigFile("nowhere.yaml")) },
			want: "nowhere.yaml",
		},
		"a failure was injected that nothing met": {
			test: func(t asynctest.T) { asynctest.New(t).FailNext("acme.Typo/Ship", 2, nil) },
			want: `2 injected failures of handler calls of "acme.Typo/Ship" were not used`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if got := try(t, test.test); !strings.Contains(got, test.want) {
					t.Errorf("failed with %q, want %q in it", got, test.want)
				}
			})
		})
	}
}

func TestACommandForSomebodyElseIsNoWork(t *testing.T) {
	t.Parallel()
	rt := asynctest.New(t)
	s := &shop{orders: ordersv1async.NewOrdersPublisher(rt.Runtime)}
	must(t, ordersv1async.NewOrderEventsSubscriber(rt.Runtime).OnPlaced(s.placed))
	rt.Start()
	place(t, rt, "A-1")
	rt.WaitIdle(time.Minute)
	if got := asynctest.Published[*ordersv1.ShipRequest](rt); len(got) != 1 {
		t.Errorf("published %v", got)
	}
}
