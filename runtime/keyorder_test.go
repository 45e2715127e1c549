package async_test

import (
	"context"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

func TestAFailedSendFailsTheLaterOnesOfItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "memory")
	type answer struct {
		id   string
		err  error
		done func(error)
	}
	var mu sync.Mutex
	var held []answer
	w.shared = &tampered{
		Transport: memorytransport.New(),
		refuse: func(_ transport.Publication, msg *message.Message) error {
			if msg.UUID == "a2" {
				return transport.ErrNacked
			}
			return nil
		},
		answer: func(msg *message.Message, err error, done func(error)) {
			mu.Lock()
			defer mu.Unlock()
			held = append(held, answer{msg.UUID, err, done})
		},
	}
	var failed []string
	rt := w.open(t, async.WithSendErrorFunc(func(_ *async.Spec, id string, _ error) { failed = append(failed, id) }))
	spec := moves(async.KindCommand, func(s *async.Spec) { s.Policy.Ordering = async.OrderingByKey })
	onMoved(t, rt, spec, func(context.Context, int64, int32) error { return nil })
	run(t, rt)
	p := async.NewPublisher[*ordersv1.OrderMoved](rt, spec)
	receipts := map[string]*async.Receipt{}
	send := func(id string, key int64) {
		receipts[id] = p.SendAsync(t.Context(), &ordersv1.OrderMoved{Order: key}, async.WithMessageID(id))
	}
	for _, id := range []string{"a1", "a2", "a3", "a4"} {
		send(id, 1)
	}
	send("b1", 2)
	eventually(t, "the broker has answered", func() bool { mu.Lock(); defer mu.Unlock(); return len(held) == 5 })
	for _, id := range []string{"a1", "a2", "a3", "b1", "a4"} {
		for _, h := range held {
			if h.id == id {
				h.done(h.err)
			}
		}
	}
	for id, want := range map[string]error{"a1": nil, "a2": async.ErrNacked, "a3": async.ErrUnknown, "a4": async.ErrUnknown, "b1": nil} {
		if err := next(t, waited(t, receipts[id])); !cmp.Equal(err, want, cmpopts.EquateErrors()) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	if diff := cmp.Diff([]string{"a2", "a3", "a4"}, failed); diff != "" {
		t.Errorf("what the error function saw (-want +got):\n%s", diff)
	}

	held = nil
	send("a5", 1)
	eventually(t, "the broker has answered", func() bool { mu.Lock(); defer mu.Unlock(); return len(held) == 1 })
	held[0].done(held[0].err)
	must(t, next(t, waited(t, receipts["a5"]))) // the failure is told: the key goes on
}

func waited(t *testing.T, r *async.Receipt) <-chan error {
	t.Helper()
	c := make(chan error, 1)
	r.Then(func(err error) { c <- err })
	return c
}
