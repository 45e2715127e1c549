package asyncotel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
)

// spanned is what all operations have: a span, and the context that it is in.
type spanned struct {
	p     *endpoint
	o     *operation
	span  trace.Span      // nil when spans would be made for nobody
	ctx   context.Context //nolint:containedctx // metrics and log records find the span in it when the operation ends
	start time.Time
}

// begin starts the span of an operation.
func (p *endpoint) begin(ctx context.Context, o *operation, start time.Time, more ...trace.SpanStartOption) spanned {
	if p.tracing.asleep() {
		return spanned{p: p, o: o, ctx: ctx, start: start}
	}
	options := make([]trace.SpanStartOption, 0, len(o.start)+len(more)+1)
	options = append(append(options, o.start...), more...)
	// The same reading as in the metrics: between two, much can happen on a busy machine.
	options = append(options, trace.WithTimestamp(start))
	ctx, span := p.tracer.Start(ctx, o.span, options...)           //nolint:spancheck // it ends with the operation
	return spanned{p: p, o: o, span: span, ctx: ctx, start: start} //nolint:spancheck // it ends with the operation
}

// Context returns parent with the span.
func (s *spanned) Context(parent context.Context) context.Context {
	if s.span != nil {
		return trace.ContextWithSpan(parent, s.span)
	}
	if sc := s.spanContext(); sc.IsValid() {
		return trace.ContextWithSpanContext(parent, sc)
	}
	return parent
}

// spanContext is that of the span, or what passes through where there is none.
func (s *spanned) spanContext() trace.SpanContext {
	if s.span == nil {
		return trace.SpanContextFromContext(s.ctx)
	}
	return s.span.SpanContext()
}

func (s *spanned) recording() bool { return s.span != nil && s.span.IsRecording() }

// set sets attributes of a span that somebody looks at.
func (s *spanned) set(attributes ...attribute.KeyValue) {
	if s.recording() {
		s.span.SetAttributes(attributes...)
	}
}

// finish ends the span with the error, and returns the options of its metrics and how long it took.
func (s *spanned) finish(err error, at time.Time) (m metering, took float64) {
	explicit := !at.IsZero()
	if !explicit {
		at = time.Now()
	}
	kind := ""
	if err != nil {
		kind = errorType(err, s.p.capabilities.System)
		s.p.emit(s, err, kind)
	}
	switch {
	case s.span == nil:
	case s.span.IsRecording():
		if err != nil {
			s.span.SetStatus(codes.Error, describe(err))
			s.span.SetAttributes(keyErrorType.String(kind))
		}
		s.span.End(trace.WithTimestamp(at))
	default:
		s.span.End()
	}
	return s.o.of(kind), max(at.Sub(s.start).Seconds(), 0)
}

// spanner is implemented by the operations of this package.
type spanner interface {
	async.Operation
	spanContext() trace.SpanContext
}

// maxDescription bounds the text of an error on a span.
const maxDescription = 256

func describe(err error) string {
	text := err.Error()
	if len(text) > maxDescription {
		text = text[:maxDescription]
	}
	return text
}
