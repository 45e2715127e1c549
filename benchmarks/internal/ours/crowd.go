package ours

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	benchv1 "github.com/asyncpb/async/benchmarks/gen/bench/v1"
	"github.com/asyncpb/async/benchmarks/gen/bench/v1/benchv1async"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	async "github.com/asyncpb/async/runtime"
)

// Crowd returns the memory transport with many subscriptions, each of a command of its own. Their specs are made here, in
// the form in which the plugin writes them: no .proto has a thousand rpcs.
func Crowd() peer.Peer {
	return peer.Peer{
		Name: "one runtime, memory transport, protobuf",
		Open: func(ctx context.Context, l load.Load) (peer.Session, error) {
			s, err := open(ctx, "memory://", "", l)
			if err != nil {
				return nil, err
			}
			c := &crowd{session: s}
			for i := range l.Subscriptions {
				method := fmt.Sprintf("Record%d", i)
				spec := &async.Spec{
					Service: benchv1async.MeterName, Method: method, Kind: async.KindCommand,
					Topic: benchv1async.MeterName + "." + method, Group: benchv1async.MeterName, Type: "bench.v1.Sample",
					Input: func() proto.Message { return new(benchv1.Sample) },
				}
				c.specs = append(c.specs, spec)
				c.publishers = append(c.publishers, async.NewPublisher[*benchv1.Sample](s.rt, spec))
			}
			return c, nil
		},
	}
}

type crowd struct {
	*session
	specs      []*async.Spec
	publishers []*async.Publisher[*benchv1.Sample]
}

func (c *crowd) Send(ctx context.Context, src *load.Source) error {
	return peer.Callers(ctx, c.load.Callers, src, func(ctx context.Context, number int, intended int64) error {
		return c.publishers[number%len(c.publishers)].Send(ctx, load.NewSample(number, intended, c.body))
	})
}

func (c *crowd) Receive(ctx context.Context, h load.HandleFunc) error {
	handle := func(_ context.Context, m *benchv1.Sample) error {
		h(load.ReadSample(m))
		return nil
	}
	for _, spec := range c.specs {
		if err := async.NewSubscriber[*benchv1.Sample](c.rt, spec).On(handle); err != nil {
			return err
		}
	}
	return c.run(ctx)
}
