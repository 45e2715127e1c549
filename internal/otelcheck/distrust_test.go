package otelcheck_test

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel/linksampler"
	"github.com/asyncpb/async/runtime/transport"
)

// TestAStrangersFailureSwitchesNoSamplingOff has a sender that is not trusted claim a failure: who samples by links must decide as
// if there were none, with and without it.
func TestAStrangersFailureSwitchesNoSamplingOff(t *testing.T) {
	t.Parallel()
	const unsampled = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"
	for name, row := range map[string]struct {
		failed  string
		sampler sdktrace.Sampler
		want    bool
	}{
		"without a failure, all is sampled":        {"", sdktrace.AlwaysSample(), true},
		"a failure that was sampled":               {elsewhere, sdktrace.AlwaysSample(), true},
		"a failure that was not sampled":           {unsampled, sdktrace.AlwaysSample(), true},
		"a failure does not switch it on, as well": {elsewhere, sdktrace.NeverSample(), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, "memory", setup{sampler: linksampler.New(sdktrace.ParentBased(row.sampler))})
			s := l.uses(spec(async.KindCommand, "Claimed"))
			l.on(s, nil, async.WithTraceMode(async.TraceUntrusted))
			stop := l.run(context.Background())
			md := map[string]string{transport.MetaTraceparent: elsewhere}
			if row.failed != "" {
				md[transport.MetaFailedTraceparent] = row.failed
			}
			l.inject(s, "m-1", md)
			l.await(1)
			stop()
			c := l.capture("claimed")
			if got := c.Facts.Handlers[0].Span.IsSampled(); got != row.want {
				t.Errorf("the handling is sampled: %t, want %t", got, row.want)
			}
			for _, s := range c.OfType("process") {
				if s.Parent.IsValid() {
					t.Errorf("span %q has the parent %s", s.Name, s.Parent.SpanID())
				}
				for _, link := range s.Links {
					if !link.Attributes["async.link.untrusted"].AsBool() || link.Context.TraceFlags() != trace.TraceFlags(0) {
						t.Errorf("span %q links to %v with %v", s.Name, link.Context, link.Attributes)
					}
				}
			}
		})
	}
}
