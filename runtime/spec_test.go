package async_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
)

// moves is an rpc of OrderMoved with a contract of the test's own.
func moves(kind async.Kind, change func(*async.Spec)) *async.Spec {
	s := &async.Spec{
		Service: "acme.test.v1.Moves", Method: "Moved", Kind: kind, Topic: "acme.test.v1.Moves.Moved", Type: "acme.orders.v1.OrderMoved",
		Input: func() proto.Message { return new(ordersv1.OrderMoved) },
		Key:   func(m proto.Message) string { return async.FormatInt(m.(*ordersv1.OrderMoved).GetOrder()) },
	}
	if kind != async.KindEvent {
		s.Group = "movers"
	}
	if change != nil {
		change(s)
	}
	return s
}

// retried gives a contract exact delays: without jitter.
func retried(immediate, attempts uint32, minBackoff time.Duration) func(*async.Spec) {
	return func(s *async.Spec) {
		s.Policy.Retry = async.Retry{Immediate: &immediate, MaxAttempts: &attempts, MinBackoff: &minBackoff, Jitter: new(0.0)}
	}
}

func publish(t *testing.T, rt *async.Runtime, spec *async.Spec, order int64, step int32, opts ...async.SendOption) {
	t.Helper()
	must(t, async.NewPublisher[*ordersv1.OrderMoved](rt, spec).Send(t.Context(), &ordersv1.OrderMoved{Order: order, Step: step}, opts...))
}

func onMoved(t *testing.T, rt *async.Runtime, spec *async.Spec, h func(ctx context.Context, order int64, step int32) error, opts ...async.SubscribeOption) {
	t.Helper()
	must(t, async.NewSubscriber[*ordersv1.OrderMoved](rt, spec).On(func(ctx context.Context, m *ordersv1.OrderMoved) error {
		return h(ctx, m.GetOrder(), m.GetStep())
	}, opts...))
}
