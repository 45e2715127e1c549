package async_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// handleShip runs a runtime that handles Ship with h, three attempts at most.
func (w *world) handleShip(t *testing.T, h func(ctx context.Context, id string) error, opts ...async.Option) *async.Runtime {
	t.Helper()
	rt := w.open(t, opts...)
	must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, msg *ordersv1.ShipRequest) error {
		return h(ctx, msg.GetOrderId())
	}))
	run(t, rt)
	return rt
}

// keepsDeadLetters is true where dead letters can be looked at.
func (w *world) keepsDeadLetters() bool { return w.caps.DeadLetter == transport.Native }

func TestAFailingMessageIsTriedAgainAndThenKept(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		attempts := make(chan string, 10)
		rt := w.handleShip(t, func(ctx context.Context, id string) error {
			info, _ := async.InfoFrom(ctx)
			attempts <- fmt.Sprintf("%s %d/%d", info.ID, info.Attempt, info.MaxAttempts)
			return fmt.Errorf("no truck\r\nfor %s", strings.Repeat("you", 100))
		})
		before := time.Now()
		sent := &ordersv1.ShipRequest{OrderId: "1", RequestId: "req"}
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), sent, async.WithHeader("color", "red")))
		for _, want := range []string{"req 1/3", "req 2/3", "req 3/3"} {
			if got := next(t, attempts); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		eventually(t, "the dead letter is counted", func() bool { return rt.Stats().DeadLettered == 1 })
		if s := rt.Stats(); s.Retried != 2 || s.Dropped != 0 {
			t.Errorf("counted %+v", s)
		}
		if !w.keepsDeadLetters() {
			return
		}
		dead := w.deadLetters(t, ordersv1async.OrdersShipTopic, "orders", 1)[0]
		for name, want := range map[string]string{
			"ce-id": "req", "ce-type": "acme.orders.v1.ShipRequest", "color": "red", "async-attempt": "3",
			"async-dead-reason": "max-attempts", "async-dead-topic": w.topic(ordersv1async.OrdersShipTopic), "async-dead-group": "orders",
		} {
			if dead[name] != want {
				t.Errorf("%s is %q, want %q", name, dead[name], want)
			}
		}
		if text := dead["async-dead-error"]; len(text) > 256 || strings.ContainsAny(text, "\r\n") || !strings.HasPrefix(text, "no truck") {
			t.Errorf("async-dead-error is %q", text)
		}
		if dead["async-dead-first-at"] < fmt.Sprint(before.UnixNano()) || dead["async-dead-at"] < dead["async-dead-first-at"] {
			t.Errorf("first failed at %s, died at %s", dead["async-dead-first-at"], dead["async-dead-at"])
		}
		payload, err := proto.Marshal(sent)
		must(t, err)
		if dead["payload"] != string(payload) {
			t.Errorf("the payload is %q, want %q", dead["payload"], payload)
		}
	})
}

func TestVerdictsInOneWord(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		calls := map[string]int{}
		done := make(chan string, 10)
		var logged lockedBuffer
		rt := w.handleShip(t, func(_ context.Context, id string) error {
			mu.Lock()
			calls[id]++
			n := calls[id]
			mu.Unlock()
			switch {
			case id == "reject":
				return fmt.Errorf("wrapped: %w", async.Reject(errors.New("never")))
			case id == "drop":
				return async.Drop("not ours")
			case id == "later" && n == 1:
				return async.RetryAfter(200*time.Millisecond, errors.New("busy"))
			case id == "panic" && n == 1:
				panic("boom")
			case id == "goexit" && n == 1:
				goruntime.Goexit()
			}
			done <- id
			return nil
		}, async.WithLogger(slog.New(slog.NewJSONHandler(&logged, nil))), async.WithConcurrency(1))
		orders := ordersv1async.NewOrdersPublisher(rt)
		start := time.Now()
		for _, id := range []string{"reject", "drop", "later", "panic", "goexit"} {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: id}))
		}
		handled := map[string]bool{}
		for range 3 {
			handled[next(t, done)] = true
		}
		if !handled["later"] || !handled["panic"] || !handled["goexit"] {
			t.Errorf("handled %v", handled)
		}
		if took := time.Since(start); took < 200*time.Millisecond {
			t.Errorf("RetryAfter came back after %s", took)
		}
		eventually(t, "everything is settled", func() bool { s := rt.Stats(); return s.DeadLettered == 1 && s.Dropped == 1 && s.Retried == 3 })
		mu.Lock()
		defer mu.Unlock()
		if calls["reject"] != 1 || calls["drop"] != 1 {
			t.Errorf("calls: %v", calls)
		}
		if text := logged.String(); !strings.Contains(text, `"panic":"boom"`) || !strings.Contains(text, "verdict_test.go") {
			t.Error("the panic is logged with its stack")
		}
		if w.keepsDeadLetters() {
			if reason := w.deadLetters(t, ordersv1async.OrdersShipTopic, "orders", 1)[0]["async-dead-reason"]; reason != "rejected" {
				t.Errorf("the reason is %q", reason)
			}
		}
	})
}

// lockedBuffer collects what several goroutines log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestWhatNoHandlerMaySeeIsKeptAtOnce(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		var logged lockedBuffer
		rt := w.handleShip(t, func(_ context.Context, id string) error {
			return fmt.Errorf("the handler was called with %q", id)
		}, async.WithLogger(slog.New(slog.NewJSONHandler(&logged, nil))))
		typ := "acme.orders.v1.ShipRequest"
		bad := []struct {
			reason, id string
			payload    []byte
			md         map[string]string
		}{
			{"wrong-type", "1", nil, map[string]string{"ce-id": "1"}},
			{"wrong-type", "2", nil, map[string]string{"ce-id": "2", "ce-type": "acme.orders.v1.OrderPlaced"}},
			{"undecodable", "3", []byte("\xff\xff"), map[string]string{"ce-id": "3", "ce-type": typ}},
			{"undecodable", "4", []byte("{"), map[string]string{"ce-id": "4", "ce-type": typ, "ce-datacontenttype": "application/json"}},
			{"undecodable", "5", []byte("{}"), map[string]string{"ce-id": "5", "ce-type": typ, "ce-datacontenttype": "text/plain"}},
			{"too-large", "6", make([]byte, 1<<20+1), map[string]string{"ce-id": "6", "ce-type": typ}},
			{"no-id", "", nil, map[string]string{"ce-type": typ}},
		}
		for _, b := range bad {
			w.inject(t, transport.Publication{Topic: w.topic(ordersv1async.OrdersShipTopic), RoutingKey: typ}, b.id, b.payload, b.md)
		}
		eventually(t, "all are dead letters", func() bool { return rt.Stats().DeadLettered == uint64(len(bad)) })
		if strings.Contains(logged.String(), "the handler was called") || rt.Stats().Retried != 0 {
			t.Errorf("a handler saw one of them: %s", logged.String())
		}
		if !w.keepsDeadLetters() {
			return
		}
		want := map[string]string{}
		for _, b := range bad {
			want[b.md["ce-id"]] = b.reason + " " + fmt.Sprint(len(b.payload))
		}
		for _, dead := range w.deadLetters(t, ordersv1async.OrdersShipTopic, "orders", len(bad)) {
			id := dead["ce-id"]
			if got := dead["async-dead-reason"] + " " + fmt.Sprint(len(dead["payload"])); got != want[id] {
				t.Errorf("message %q: %s, want %s", id, got, want[id])
			}
		}
	})
}

func TestJSONIsReadAsWell(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		got := make(chan string, 1)
		w.handleShip(t, func(_ context.Context, id string) error { got <- id; return nil })
		typ := "acme.orders.v1.ShipRequest"
		w.inject(t, transport.Publication{Topic: w.topic(ordersv1async.OrdersShipTopic), RoutingKey: typ}, "1", []byte(`{"orderId":"json","newer":1}`),
			map[string]string{"ce-id": "1", "ce-type": typ, "ce-datacontenttype": "application/json; charset=utf-8"})
		if id := next(t, got); id != "json" {
			t.Errorf("got %q", id)
		}
	})
}

// TestFailingMessagesDoNotHoldBackGoodOnes has more messages waiting for their next attempt than one worker may hold.
func TestFailingMessagesDoNotHoldBackGoodOnes(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		const bad, good, pause = 10, 20, 3 * time.Second
		type call struct {
			id string
			at time.Time
		}
		calls := make(chan call, 2*bad+good)
		var mu sync.Mutex
		failed := map[string]bool{}
		rt := w.handleShip(t, func(_ context.Context, id string) error {
			mu.Lock()
			defer mu.Unlock()
			calls <- call{id, time.Now()}
			if strings.HasPrefix(id, "bad") && !failed[id] {
				failed[id] = true
				return async.RetryAfter(pause, errors.New("not yet"))
			}
			return nil
		}, async.WithConcurrency(1))
		orders := ordersv1async.NewOrdersPublisher(rt)
		for i := range bad {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: fmt.Sprint("bad", i)}))
		}
		for i := range good {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: fmt.Sprint("good", i)}))
		}
		seen := map[string]time.Time{}
		handled := 0
		for range 2*bad + good {
			c := next(t, calls)
			first, again := seen[c.id]
			switch {
			case again && c.at.Sub(first) < pause:
				t.Errorf("%s came back after %s", c.id, c.at.Sub(first))
			case again && handled < good:
				t.Errorf("%s was tried again before the last good message was handled", c.id)
			case strings.HasPrefix(c.id, "good"):
				handled++
			}
			seen[c.id] = c.at
		}
	})
}

func TestDisabledDeadLettersAreDroppedAndCounted(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnArchive(func(context.Context, *ordersv1.ArchiveRequest) error { return errors.New("full") }))
		run(t, rt)
		must(t, ordersv1async.NewOrdersPublisher(rt).Archive(t.Context(), &ordersv1.ArchiveRequest{}))
		eventually(t, "it is dropped", func() bool { return rt.Stats().Dropped == 1 })
		if s := rt.Stats(); s.DeadLettered != 0 || s.Retried != 0 {
			t.Errorf("counted %+v", s)
		}
	})
}

func TestOrderByKeySurvivesRetries(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		var mu sync.Mutex
		first := map[int64][]int32{}
		failed := map[string]bool{}
		active := map[int64]bool{}
		var overlap bool
		done := make(chan struct{}, 100)
		err := ordersv1async.NewOrderEventsSubscriber(rt).OnMoved(func(_ context.Context, msg *ordersv1.OrderMoved) error {
			mu.Lock()
			defer mu.Unlock()
			overlap = overlap || active[msg.GetOrder()]
			id := fmt.Sprint(msg.GetOrder(), "/", msg.GetStep())
			if msg.GetStep()%4 == 1 && !failed[id] {
				failed[id] = true
				return errors.New("not yet")
			}
			first[msg.GetOrder()] = append(first[msg.GetOrder()], msg.GetStep())
			done <- struct{}{}
			return nil
		})
		if w.caps.Order == transport.None {
			wantErr(t, err, async.ErrUnsupported)
			wantErr(t, ordersv1async.NewOrderEventsPublisher(rt).Moved(t.Context(), &ordersv1.OrderMoved{Order: 1}), async.ErrUnsupported)
			wantErr(t, rt.Run(t.Context()), async.ErrUnsupported)
			return
		}
		must(t, err)
		run(t, rt)
		events := ordersv1async.NewOrderEventsPublisher(rt)
		const orders, steps = 5, 8
		for step := range int32(steps) {
			for order := range int64(orders) {
				must(t, events.Moved(t.Context(), &ordersv1.OrderMoved{Order: order, Step: step}))
			}
		}
		for range orders * steps {
			next(t, done)
		}
		mu.Lock()
		defer mu.Unlock()
		for order, got := range first {
			for i, step := range got {
				if step != int32(i) {
					t.Errorf("order %d was handled as %v", order, got)
					break
				}
			}
		}
		if overlap || len(first) != orders {
			t.Errorf("overlap %v, %d orders", overlap, len(first))
		}
	})
}

func TestAVerdictIsToldFromAnError(t *testing.T) {
	t.Parallel()
	plain := errors.New("no")
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":           {nil, false},
		"an error":          {plain, false},
		"reject":            {async.Reject(plain), true},
		"retry after":       {async.RetryAfter(time.Second, plain), true},
		"drop":              {async.Drop("no use"), true},
		"a wrapped verdict": {fmt.Errorf("while shipping: %w", async.Reject(plain)), true},
	} {
		if got := async.IsVerdict(test.err); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestOfNestedVerdictsTheOutermostCounts(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		for name, c := range map[string]struct {
			verdict error
			want    async.Stats
		}{
			"a drop inside a rejection":           {async.Reject(async.Drop("no")), async.Stats{DeadLettered: 1}},
			"a rejection inside a wrapped drop":   {fmt.Errorf("%w, %w", async.Drop("no"), async.Reject(nil)), async.Stats{Dropped: 1}},
			"a rejection inside one more attempt": {async.RetryAfter(0, async.Reject(nil)), async.Stats{Retried: 2, DeadLettered: 1}},
			"nothing implemented, but rejected":   {async.Reject(async.ErrUnimplemented), async.Stats{DeadLettered: 1}},
		} {
			t.Run(name, func(t *testing.T) {
				// Each row has a world of its own: what is left in a queue would be the next row's.
				w := newWorld(t, w.name)
				rt := w.handleShip(t, func(context.Context, string) error { return c.verdict })
				must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
				eventually(t, "the verdict is carried out", func() bool {
					s := rt.Stats()
					return s.DeadLettered == c.want.DeadLettered && s.Dropped == c.want.Dropped && s.Retried == c.want.Retried
				})
			})
		}
	})
}
