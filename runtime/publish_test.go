package async_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func TestEveryAppHearsAnEventOnceAndACommandIsDoneOnce(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		heard := map[string]chan string{"app": make(chan string, 100), "other": make(chan string, 100)}
		shipped := make(chan string, 100)
		for _, app := range []string{"app", "app", "other"} {
			rt := w.open(t, async.WithApp(app))
			must(t, ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(_ context.Context, msg *ordersv1.OrderPlaced) error {
				heard[app] <- msg.GetOrderId()
				return nil
			}))
			must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(_ context.Context, msg *ordersv1.ShipRequest) error {
				shipped <- msg.GetOrderId()
				return nil
			}))
			run(t, rt)
		}
		rt := w.open(t)
		events, orders := ordersv1async.NewOrderEventsPublisher(rt), ordersv1async.NewOrdersPublisher(rt)
		want := map[string]int{}
		for i := range 10 {
			id := fmt.Sprint("o-", i)
			want[id]++
			must(t, events.Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: id}))
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: id}))
		}
		for name, c := range map[string]chan string{"app": heard["app"], "other": heard["other"], "shipped": shipped} {
			got := map[string]int{}
			for range want {
				got[next(t, c)]++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}

func TestAHandlerLearnsWhatWasSent(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		type seen struct {
			msg  *ordersv1.OrderPlaced
			info *async.Info
		}
		got := make(chan seen, 1)
		rt := w.open(t)
		must(t, ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(ctx context.Context, msg *ordersv1.OrderPlaced) error {
			info, _ := async.InfoFrom(ctx)
			got <- seen{msg, info}
			return nil
		}))
		run(t, rt)
		sent := &ordersv1.OrderPlaced{OrderId: "ö-1", Cents: 995, Tenant: "blue"}
		before := time.Now()
		must(t, ordersv1async.NewOrderEventsPublisher(rt).Placed(t.Context(), sent, async.WithMessageID("msg_1"),
			async.WithHeader("color", "red"), async.WithHeader("color", "green"), async.WithTTL(time.Hour)))
		s := next(t, got)
		if diff := cmp.Diff(sent, s.msg, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		if s.info.CreatedAt.Before(before) || s.info.SentAt.Before(s.info.CreatedAt) || s.info.CreatedAt.After(time.Now()) {
			t.Errorf("created %s, sent %s", s.info.CreatedAt, s.info.SentAt)
		}
		if left := time.Until(s.info.Deadline); left < 50*time.Minute || left > time.Hour {
			t.Errorf("the deadline is %s away", left)
		}
		want := &async.Info{
			RPC: "acme.orders.v1.OrderEvents/Placed", ID: "msg_1", Topic: w.topic("acme.orders.v1.OrderEvents.Placed"), Group: "app",
			Type: "acme.orders.v1.OrderPlaced", Source: "app", Key: "ö-1", Attempt: 1, MaxAttempts: 8,
			CreatedAt: s.info.CreatedAt, SentAt: s.info.SentAt, Deadline: s.info.Deadline,
			Headers: async.Headers{"tenant": {"blue"}, "color": {"red", "green"}},
		}
		if diff := cmp.Diff(want, s.info); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAsyncSendResolvesItsReceiptAndOwnsItsBytes(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		got := make(chan string, 10)
		rt := w.open(t)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, msg *ordersv1.ShipRequest) error {
			info, _ := async.InfoFrom(ctx)
			got <- msg.GetOrderId() + " " + info.ID
			return nil
		}))
		run(t, rt)
		ctx, cancel := context.WithCancel(t.Context())
		msg := &ordersv1.ShipRequest{OrderId: "first", RequestId: "req-1"}
		receipt := ordersv1async.NewOrdersPublisher(rt).ShipAsync(ctx, msg)
		cancel() // the send goes on
		proto.Reset(msg)
		then := make(chan error, 1)
		receipt.Then(func(err error) { then <- err })
		must(t, receipt.Wait(t.Context()))
		must(t, next(t, then))
		must(t, receipt.Err())
		<-receipt.Done()
		if receipt.ID() != "req-1" {
			t.Errorf("the receipt's id is %q", receipt.ID())
		}
		if have := next(t, got); have != "first req-1" {
			t.Errorf("got %q", have)
		}
	})
}

func TestABatchTellsTheFateOfEachMessage(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		got := make(chan string, 10)
		rt := w.open(t)
		must(t, ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(ctx context.Context, msg *ordersv1.OrderPlaced) error {
			info, _ := async.InfoFrom(ctx)
			got <- msg.GetOrderId() + info.Headers.First("n")
			return nil
		}))
		run(t, rt)
		events := ordersv1async.NewOrderEventsPublisher(rt)
		must(t, events.PlacedBatch(t.Context(), nil))
		msgs := []*ordersv1.OrderPlaced{{OrderId: "a"}, {OrderId: strings.Repeat("x", 2<<20)}, {OrderId: "c"}}
		err := events.PlacedBatch(t.Context(), msgs, async.Each(func(i int) []async.SendOption {
			return []async.SendOption{async.WithHeader("n", fmt.Sprint(i))}
		}))
		var batch *async.BatchError
		if !errors.As(err, &batch) || len(batch.Errs) != 3 || batch.Errs[0] != nil || batch.Errs[2] != nil {
			t.Fatalf("got %v", err)
		}
		wantErr(t, batch.Errs[1], async.ErrTooLarge)
		wantErr(t, err, async.ErrTooLarge)
		have := map[string]bool{next(t, got): true, next(t, got): true}
		if !have["a0"] || !have["c2"] {
			t.Errorf("handled %v", have)
		}
		if err := events.PlacedBatch(t.Context(), msgs, async.WithMessageID("one")); err == nil || !strings.Contains(err.Error(), "Each") {
			t.Errorf("WithMessageID on a batch: %v", err)
		}
		wantErr(t, events.PlacedBatch(t.Context(), make([]*ordersv1.OrderPlaced, 1001)), async.ErrTooLarge)
	})
}

func TestBadSendsAreRefusedAndNameTheirLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "memory")
	rt := w.open(t)
	events, orders := ordersv1async.NewOrderEventsPublisher(rt), ordersv1async.NewOrdersPublisher(rt)
	placed := func(opts ...async.SendOption) func() error {
		return func() error { return events.Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "1"}, opts...) }
	}
	tests := []struct {
		name string
		send func() error
		is   error
		text string
	}{
		{"a message id with a space", placed(async.WithMessageID("a b")), nil, "letters, digits"},
		{"a message id of 65 bytes", placed(async.WithMessageID(strings.Repeat("x", 65))), async.ErrTooLarge, "64"},
		{"a bad id from the annotated field", func() error {
			return orders.Ship(t.Context(), &ordersv1.ShipRequest{RequestId: "a:b"})
		}, nil, "letters, digits"},
		{"a key of 257 bytes", placed(async.WithKey(strings.Repeat("x", 257))), async.ErrTooLarge, "256"},
		{"a reserved header", placed(async.WithHeader("ce-id", "x")), nil, "reserved"},
		{"a header value with a line break", placed(async.WithHeader("a", "b\nc")), nil, "control character"},
		{"a negative delay", placed(async.WithDelay(-1)), async.ErrInvalid, "0 to 168h"},
		{"a delay over 7 days", placed(async.WithDelay(200 * time.Hour)), async.ErrTooLarge, "168h"},
		{"a delivery time over 7 days away", placed(async.WithDeliverAt(time.Now().Add(200 * time.Hour))), async.ErrTooLarge, "168h"},
		{"a ttl of 0", placed(async.WithTTL(0)), nil, "positive"},
		{"a nil message", func() error { return events.Placed(t.Context(), nil) }, async.ErrInvalid, "nil"},
		{"no key where order is promised", func() error {
			return events.Moved(t.Context(), &ordersv1.OrderMoved{Order: 1}, async.WithKey(""))
		}, async.ErrNoKey, "key"},
		{"text that is not UTF-8", func() error {
			return events.Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "\xff"}, async.WithKey("k"))
		}, async.ErrInvalid, "UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.send()
			var op *async.OpError
			if err == nil || !errors.As(err, &op) || op.Op != "send" || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("got %v", err)
			}
			if tt.is != nil {
				wantErr(t, err, tt.is)
			}
		})
	}
	t.Run("1 MiB passes and one byte more does not", func(t *testing.T) {
		t.Parallel()
		overhead := proto.Size(&ordersv1.OrderPlaced{OrderId: strings.Repeat("x", 1<<20)}) - 1<<20
		fits := &ordersv1.OrderPlaced{OrderId: strings.Repeat("x", 1<<20-overhead)}
		must(t, events.Placed(t.Context(), fits, async.WithKey("k"), async.WithHeader("beside", strings.Repeat("x", 4096))))
		fits.OrderId += "x"
		err := events.Placed(t.Context(), fits, async.WithKey("k"))
		wantErr(t, err, async.ErrTooLarge)
		if !strings.Contains(err.Error(), "1048577") || !strings.Contains(err.Error(), "1048576") {
			t.Errorf("the error names limit and value: %v", err)
		}
	})
}

func TestWhatNobodyTakes(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		must(t, ordersv1async.NewOrderEventsPublisher(rt).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "1"}))
		_, err := ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{}, nil...)
		if w.caps.Mandatory == transport.None {
			if async.CodeOf(err) != async.CodeDeadlineExceeded {
				t.Errorf("without mandatory a request that nobody takes ends at its deadline, got %v", err)
			}
			return
		}
		if n := rt.Stats().Unrouted; n != 1 {
			t.Errorf("%d unrouted events were counted, want 1", n)
		}
		wantErr(t, err, async.ErrUnroutable)
	})
}

func TestCommandsWaitForTheirFirstConsumer(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		if w.caps.StandingGroups == transport.None {
			return // a message that nobody consumes is lost there, and the table of transports says so
		}
		must(t, ordersv1async.NewOrdersPublisher(w.open(t)).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "early"}))
		got := make(chan string, 1)
		rt := w.open(t)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(_ context.Context, msg *ordersv1.ShipRequest) error {
			got <- msg.GetOrderId()
			return nil
		}))
		run(t, rt)
		if id := next(t, got); id != "early" {
			t.Errorf("got %q", id)
		}
	})
}

func TestDelay(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		got := make(chan time.Time, 2)
		rt := w.open(t)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
			got <- time.Now()
			return nil
		}))
		run(t, rt)
		orders := ordersv1async.NewOrdersPublisher(rt)
		start := time.Now()
		err := orders.Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithDelay(300*time.Millisecond))
		if w.caps.Delay == transport.None {
			wantErr(t, err, async.ErrUnsupported)
			return
		}
		must(t, err)
		if took := next(t, got).Sub(start); took < 300*time.Millisecond {
			t.Errorf("it came after %s", took)
		}
		must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithDeliverAt(time.Now().Add(-time.Hour))))
		next(t, got)
		_, err = ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{}, async.WithDelay(time.Second))
		if err == nil || !strings.Contains(err.Error(), "cannot be delayed") {
			t.Errorf("a delayed request: %v", err)
		}
	})
}
