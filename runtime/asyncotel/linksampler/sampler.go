// Package linksampler is a head sampler for traces that are linked and not continued: it keeps both halves of a message or
// neither. It needs OpenTelemetry's SDK, which asyncotel itself does without.
package linksampler

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// untrusted marks the link to a sender whose decisions count for nothing.
var untrusted = attribute.Bool("async.link.untrusted", true)

// New returns a sampler that decides about a span without a parent by its links: it samples the span when one of the
// linked spans is sampled, and drops it when none is. Spans with a parent, without links, or with links to senders that are not trusted
// are left to next, usually ParentBased:
//
//	sdktrace.WithSampler(linksampler.New(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1))))
func New(next sdktrace.Sampler) sdktrace.Sampler { return sampler{next: next} }

type sampler struct{ next sdktrace.Sampler }

// ShouldSample implements [sdktrace.Sampler].
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if trace.SpanContextFromContext(p.ParentContext).IsValid() {
		return s.next.ShouldSample(p)
	}
	decision, linked := sdktrace.Drop, false
	for _, l := range p.Links {
		if !l.SpanContext.IsValid() || distrusted(l) {
			continue
		}
		linked = true
		if l.SpanContext.IsSampled() {
			decision = sdktrace.RecordAndSample
		}
	}
	if !linked {
		return s.next.ShouldSample(p)
	}
	return sdktrace.SamplingResult{Decision: decision}
}

func distrusted(l trace.Link) bool {
	return slices.Contains(l.Attributes, untrusted)
}

// Description implements [sdktrace.Sampler].
func (s sampler) Description() string { return "LinkBased{" + s.next.Description() + "}" }
