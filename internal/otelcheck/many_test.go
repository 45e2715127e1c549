package otelcheck_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/otelcheck"
	async "github.com/asyncpb/async/runtime"
)

// many sends 10,000 messages with random ids and counts the metric streams before and after.
func many(t *testing.T, name string) *otelcheck.Capture {
	t.Helper()
	l := newLab(t, name, setup{sampler: sdktrace.NeverSample()})
	s := l.uses(spec(async.KindCommand, "Many"))
	l.on(s, nil)
	stop := l.run(context.Background())
	p := async.NewPublisher[*ordersv1.ShipRequest](l.rt, s)
	send := func(n int) {
		receipts := make([]*async.Receipt, 0, n)
		for range n {
			receipts = append(receipts, p.SendAsync(context.Background(), &ordersv1.ShipRequest{OrderId: uuid.NewString()}, async.WithMessageID(uuid.NewString())))
		}
		for _, r := range receipts {
			l.must(r.Wait(t.Context()))
		}
		l.facts.Messages += n
		l.await(n)
		l.quiet()
	}
	streams := func() int {
		n, err := l.recorder.Streams(context.Background())
		l.must(err)
		return n
	}
	send(10)
	l.facts.StreamsBefore = streams()
	send(10_000)
	l.facts.StreamsAfter = streams()
	stop()
	c := l.capture("many")
	// The streams are the point; every other rule is held on fewer messages.
	c.Facts.SampledOut, c.Sent, c.Received, c.Facts.Handlers = true, nil, nil, nil
	return c
}
