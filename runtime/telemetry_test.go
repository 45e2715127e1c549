package async_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// recorder is a telemetry that notes what it is told: "<operation> <detail>" when one begins, "end <operation> <detail>" when it
// ends.
type recorder struct {
	mu    sync.Mutex
	notes []string
	open  int
}

func (r *recorder) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, text)
}

func (r *recorder) begin(name, detail string) async.Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	r.notes = append(r.notes, name+" "+detail)
	return &recorded{recorder: r, name: name}
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes)
}

func (r *recorder) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open == 0
}

type operationKey struct{}

type recorded struct {
	recorder *recorder
	name     string
}

func (o *recorded) Context(parent context.Context) context.Context {
	return context.WithValue(parent, operationKey{}, o.name)
}

func (o *recorded) End(r async.Result) {
	o.recorder.mu.Lock()
	o.recorder.open--
	o.recorder.mu.Unlock()
	text := "end " + o.name
	if r.Err != nil {
		text += " failed"
	}
	if r.Fate != "" {
		text += fmt.Sprintf(" %s after %d of %d", r.Fate, r.Tries, r.Attempt)
	}
	o.recorder.note(text)
}

func (r *recorder) Observe(e async.Endpoint) async.Observer {
	method := e.Spec.Method
	return async.Observer{
		Send: func(ctx context.Context, s *async.Sending) async.Operation {
			name := "send"
			if inside, ok := ctx.Value(operationKey{}).(string); ok {
				name = inside + ">send"
			}
			s.Outgoing.Metadata = map[string]string{"traceparent": "of " + method}
			return r.begin(name, method)
		},
		SendBatch: func(_ context.Context, s *async.SendingBatch) async.Operation {
			return r.begin("batch", fmt.Sprintf("of %d", len(s.Messages)))
		},
		Call: func(_ context.Context, c *async.Calling) async.Operation { return r.begin("call", c.Spec.Method) },
		Receive: func(_ context.Context, in *async.Receiving) async.Operation {
			return r.begin("receive", fmt.Sprintf("%d, reply %t", len(in.Deliveries), in.Reply))
		},
		Process: func(_ context.Context, in *async.Receiving) async.Operation {
			d := in.Deliveries[0]
			return r.begin("process", fmt.Sprintf("%d, attempt %d, %s", len(in.Deliveries), d.Attempt, d.Message.Metadata["traceparent"]))
		},
		Entry: func(_ async.Operation, n int) async.Operation { return r.begin("entry", strconv.Itoa(n)) },
		Resend: func(s *async.Resending) async.Operation {
			return r.begin("resend", fmt.Sprintf("%d, inside %t", s.Purpose, s.Parent != nil))
		},
		Settle: func(s *async.Settling) async.Operation { return r.begin("settle", s.Outcome.String()) },
	}
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, "every operation ends", r.idle)
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(want, r.all(), sorted); diff != "" {
		t.Errorf("what was told, - want + got:\n%s", diff)
	}
}

func TestTelemetryIsToldTheWholeStoryOfAMessage(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		told := new(recorder)
		attempts := 0
		rt := w.handleShip(t, func(ctx context.Context, _ string) error {
			if got := ctx.Value(operationKey{}); got != "process" {
				t.Errorf("the handler's context is inside of %v", got)
			}
			if attempts++; attempts == 1 {
				return errors.New("no truck")
			}
			return async.Reject(errors.New("no such place"))
		}, async.WithTelemetry(told))
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
		eventually(t, "it is a dead letter", func() bool { return rt.Stats().DeadLettered == 1 })
		told.want(
			t, "send Ship", "end send",
			"process 1, attempt 1, of Ship", "end process failed retry after 1 of 1", "resend 1, inside true", "end resend", "settle ack", "end settle",
			"process 1, attempt 2, of Ship", "end process failed dead_letter after 1 of 2", "resend 2, inside true", "end resend", "settle ack", "end settle",
		)
	})
}

func TestTelemetryIsToldOfACallAndItsReply(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		told := new(recorder)
		rt := w.open(t, async.WithTelemetry(told))
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			return nil, async.NewError(async.CodeNotFound, "nothing")
		}))
		run(t, rt)
		if _, err := ordersv1async.NewOrdersClient(rt).Quote(t.Context(), new(ordersv1.QuoteRequest)); async.CodeOf(err) != async.CodeNotFound {
			t.Errorf("got %v", err)
		}
		told.want(
			t, "call Quote", "call>send Quote", "end call>send", "end call failed",
			"process 1, attempt 1, of Quote", "end process failed ack after 1 of 1", "resend 3, inside true", "end resend", "settle ack", "end settle",
			"receive 1, reply true", "end receive",
		)
	})
}

func TestTelemetryIsToldOfPullsAndBatches(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		told := new(recorder)
		rt := w.open(t, async.WithTelemetry(told))
		sub := ordersv1async.NewOrdersSubscriber(rt)
		pub := ordersv1async.NewOrdersPublisher(rt)
		must(t, pub.ShipBatch(t.Context(), []*ordersv1.ShipRequest{{OrderId: "1"}, {OrderId: "2"}}))
		for range 2 {
			d, err := sub.ReceiveShip(t.Context())
			must(t, err)
			if got := d.Context().Value(operationKey{}); got != "receive" {
				t.Errorf("the delivery's context is inside of %v", got)
			}
			must(t, d.Process(t.Context(), func(context.Context, *ordersv1.ShipRequest) error { return nil }))
		}
		told.want(
			t, "send Ship", "end send", "send Ship", "end send", "batch of 2", "end batch",
			"receive 1, reply false", "end receive", "process 1, attempt 1, of Ship", "end process ack after 1 of 1", "settle ack", "end settle",
			"receive 1, reply false", "end receive", "process 1, attempt 1, of Ship", "end process ack after 1 of 1", "settle ack", "end settle",
		)
	})
}

func TestTelemetryIsToldWhatBecomesOfEachEntryOfABatch(t *testing.T) {
	t.Parallel()
	told := new(recorder)
	rt := newWorld(t, "memory").open(t, async.WithTelemetry(told))
	pub := ordersv1async.NewOrdersPublisher(rt)
	must(t, pub.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
	must(t, pub.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "2"}))
	must(t, ordersv1async.NewOrdersSubscriber(rt, async.WithBatch(2, time.Minute)).OnShipBatch(func(ctx context.Context, all []*async.Delivery[*ordersv1.ShipRequest]) error {
		for _, d := range all {
			if got := d.Context().Value(operationKey{}); got != "entry" {
				t.Errorf("an entry's context is inside of %v", got)
			}
		}
		return all[1].Settle(ctx, async.Reject(errors.New("no such place")))
	}))
	run(t, rt)
	eventually(t, "one is a dead letter", func() bool { return rt.Stats().DeadLettered == 1 })
	told.want(
		t, "send Ship", "end send", "send Ship", "end send", "process 2, attempt 1, of Ship", "entry 0", "entry 1",
		"end entry failed dead_letter after 1 of 1", "resend 2, inside true", "end resend", "settle ack", "end settle",
		"end process", "end entry ack after 1 of 1", "settle ack", "end settle",
	)
}

func TestTelemetryIsToldOfARefusedSend(t *testing.T) {
	t.Parallel()
	told := new(recorder)
	rt := newWorld(t, "memory").open(t, async.WithTelemetry(told))
	wantErr(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), nil), async.ErrInvalid)
	told.want(t, "send Ship", "end send failed")
}
