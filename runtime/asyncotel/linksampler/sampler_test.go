package linksampler_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/asyncotel/linksampler"
)

func spanContext(flags trace.TraceFlags) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags, Remote: true})
}

func TestASpanWithoutAParentIsSampledAsItsLinksAre(t *testing.T) {
	t.Parallel()
	sampled, dropped := trace.Link{SpanContext: spanContext(trace.FlagsSampled)}, trace.Link{SpanContext: spanContext(0)}
	mark := attribute.Bool("async.link.untrusted", true)
	untrusted := trace.Link{SpanContext: spanContext(0), Attributes: []attribute.KeyValue{mark}}
	failed := trace.Link{SpanContext: spanContext(0), Attributes: []attribute.KeyValue{attribute.String("async.link.type", "failed_attempt"), mark}}
	root := context.Background()
	tests := map[string]struct {
		next   sdktrace.Sampler
		parent context.Context
		links  []trace.Link
		want   sdktrace.SamplingDecision
	}{
		"a sampled link is followed":                  {sdktrace.NeverSample(), root, []trace.Link{sampled}, sdktrace.RecordAndSample},
		"a dropped link is followed":                  {sdktrace.AlwaysSample(), root, []trace.Link{dropped}, sdktrace.Drop},
		"one sampled link of many is enough":          {sdktrace.NeverSample(), root, []trace.Link{dropped, sampled}, sdktrace.RecordAndSample},
		"without links the next sampler decides":      {sdktrace.AlwaysSample(), root, nil, sdktrace.RecordAndSample},
		"an untrusted link decides nothing":           {sdktrace.AlwaysSample(), root, []trace.Link{untrusted}, sdktrace.RecordAndSample},
		"an untrusted failure decides nothing":        {sdktrace.AlwaysSample(), root, []trace.Link{untrusted, failed}, sdktrace.RecordAndSample},
		"beside a parent a link decides nothing":      {sdktrace.ParentBased(sdktrace.AlwaysSample()), trace.ContextWithSpanContext(root, spanContext(0)), []trace.Link{sampled}, sdktrace.Drop},
		"a link that is not valid is as good as none": {sdktrace.NeverSample(), root, []trace.Link{{}}, sdktrace.Drop},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := linksampler.New(test.next)
			if got := s.ShouldSample(sdktrace.SamplingParameters{ParentContext: test.parent, Links: test.links}).Decision; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
