package async_test

import (
	"context"
	"testing"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
)

// TestAMessageInMemoryKeepsToItsAllocations is not parallel: what is counted is the allocations of the whole process.
func TestAMessageInMemoryKeepsToItsAllocations(t *testing.T) { //nolint:paralleltest // see above
	// The target T13 of docs/benchmarks.md is 40 for an order of 300 bytes, of which protobuf takes 18, and 2 of this message.
	const budget = 40 - 18 + 2
	rt, err := async.Open(t.Context(), async.WithURL("memory://allocations"), async.WithApp("counted"))
	must(t, err)
	defer func() { must(t, rt.Close()) }()
	spec := moves(async.KindCommand, func(s *async.Spec) { s.Key = nil })
	handled := make(chan struct{})
	must(t, async.NewSubscriber[*ordersv1.OrderMoved](rt, spec).On(func(ctx context.Context, _ *ordersv1.OrderMoved) error {
		select {
		case handled <- struct{}{}:
		case <-ctx.Done():
		}
		return nil
	}))
	run(t, rt)
	p, ctx, m := async.NewPublisher[*ordersv1.OrderMoved](rt, spec), t.Context(), &ordersv1.OrderMoved{Order: 1234567, Step: 42}
	var failed error
	allocs := testing.AllocsPerRun(1000, func() {
		if failed != nil {
			return
		}
		if failed = p.Send(ctx, m); failed == nil {
			<-handled
		}
	})
	must(t, failed)
	if allocs > budget {
		t.Errorf("from Send to the handler a message takes %.0f allocations, want at most %d", allocs, budget)
	}
}
