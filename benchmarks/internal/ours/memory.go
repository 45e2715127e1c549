package ours

import (
	"context"
	"fmt"

	benchv1 "github.com/asyncpb/async/benchmarks/gen/bench/v1"
	"github.com/asyncpb/async/benchmarks/gen/bench/v1/benchv1async"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// Memory returns the memory transport behind generated stubs, with orders.
func Memory() peer.Peer {
	return peer.Peer{
		Name: "generated stubs, memory transport, protobuf",
		Open: func(ctx context.Context, l load.Load) (peer.Session, error) {
			s, err := open(ctx, "memory://", "", l)
			return &orders{s}, err
		},
	}
}

// DeepMemory returns the memory transport with samples, and queues that take a backlog.
func DeepMemory() peer.Peer {
	return peer.Peer{
		Name: "generated stubs, memory transport, protobuf",
		Open: func(ctx context.Context, l load.Load) (peer.Session, error) {
			return open(ctx, fmt.Sprintf("memory://?capacity=%d", 2*l.Backlog), "", l)
		},
	}
}

// orders is a session whose messages are what applications send.
type orders struct{ *session }

func (o *orders) Send(ctx context.Context, src *load.Source) error {
	order := load.NewOrder()
	return peer.Callers(ctx, 1, src, func(ctx context.Context, number int, _ int64) error {
		return o.publisher.Place(ctx, load.NumberOrder(order, number))
	})
}

func (o *orders) Receive(ctx context.Context, h load.HandleFunc) error {
	handle := func(_ context.Context, m *benchv1.Order) error {
		h(load.ReadOrder(m))
		return nil
	}
	if err := benchv1async.NewMeterSubscriber(o.rt).OnPlace(handle); err != nil {
		return err
	}
	return o.run(ctx)
}
