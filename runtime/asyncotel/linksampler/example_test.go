package linksampler_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/asyncotel/linksampler"
)

// The handler's trace is kept where the sender's is, whatever the sampler of all other traces says.
func ExampleNew() {
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(linksampler.New(sdktrace.ParentBased(sdktrace.NeverSample()))))
	tracer := tracers.Tracer("program")
	sender := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
	_, linked := tracer.Start(context.Background(), "process orders", trace.WithLinks(trace.Link{SpanContext: sender}))
	defer linked.End()
	_, alone := tracer.Start(context.Background(), "other")
	defer alone.End()
	fmt.Println(linked.SpanContext().IsSampled(), alone.SpanContext().IsSampled())
	// Output: true false
}
