package asyncotel

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// drawQueue makes the span of the time between the hand-over of a message and its handler, in the trace that the handler is in.
func (p *endpoint) drawQueue(parent context.Context, links []trace.Link, sent, began time.Time) {
	if p.tracing.asleep() || !trace.SpanContextFromContext(parent).IsValid() {
		return
	}
	options := append(slices.Clip(p.queued.start), trace.WithTimestamp(sent), trace.WithLinks(links...))
	_, span := p.tracer.Start(parent, p.queued.span, options...)
	if span.IsRecording() {
		span.SetAttributes(p.kept([]attribute.KeyValue{keyQueueDuration.Float64(began.Sub(sent).Seconds())})...)
	}
	span.End(trace.WithTimestamp(began))
}
