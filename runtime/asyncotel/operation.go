package asyncotel

import (
	"context"
	"reflect"
	"sync"
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
	given context.Context //nolint:containedctx // what ctx was made of
	start time.Time
	notes *notes // for the span; nil unless it is recorded

	// What the span starts with stands here, and not in memory of its own: most spans are not sampled.
	options [maxStartOptions]trace.SpanStartOption
}

// maxStartOptions is how many options a span starts with: kind and attributes, the time, links, attributes of the message.
const maxStartOptions = 5

// begin starts the span of an operation that has begun at start, a moment ago.
func (s *spanned) begin(ctx context.Context, p *endpoint, o *operation, start time.Time, more ...trace.SpanStartOption) {
	s.p, s.o, s.ctx, s.given, s.start = p, o, ctx, ctx, start
	if p.tracing.asleep() {
		return
	}
	options := append(append(s.options[:0], o.start...), more...)
	s.ctx, s.span = p.tracer.Start(ctx, o.span, options...) //nolint:spancheck // it ends with the operation
	if !s.span.IsRecording() {
		return
	}
	// The same reading for the metrics: between two, much can happen on a busy machine.
	if timed, ok := s.span.(interface{ StartTime() time.Time }); ok {
		s.start = timed.StartTime()
	}
	s.notes = newNotes()
	s.set(o.later...)
}

// Context returns parent with the span.
func (s *spanned) Context(parent context.Context) context.Context {
	if s.span != nil {
		if same(parent, s.given) {
			return s.ctx
		}
		return trace.ContextWithSpan(parent, s.span)
	}
	if sc := s.spanContext(); sc.IsValid() {
		return trace.ContextWithSpanContext(parent, sc)
	}
	return parent
}

// same reports whether two contexts are one. Of others than pointers it does not know: to compare them may panic.
func same(a, b context.Context) bool {
	root := context.Background()
	return a == root && b == root || reflect.TypeOf(a).Kind() == reflect.Pointer && a == b
}

// spanContext is that of the span, or what passes through where there is none.
func (s *spanned) spanContext() trace.SpanContext {
	if s.span == nil {
		return trace.SpanContextFromContext(s.ctx)
	}
	return s.span.SpanContext()
}

// recording reports whether somebody looks at the span, which has not ended.
func (s *spanned) recording() bool { return s.notes != nil }

// set notes attributes for a span that somebody looks at.
func (s *spanned) set(attributes ...attribute.KeyValue) {
	if s.recording() {
		s.notes.attributes = append(s.notes.attributes, attributes...)
	}
}

// finish ends the span with the error, and returns the options of its metrics and how long it took.
func (s *spanned) finish(err error, at time.Time) (m *metering, took float64) {
	if at.IsZero() {
		at = time.Now()
	}
	kind := ""
	if err != nil {
		kind = errorType(err, s.p.capabilities.System)
		s.p.emit(s, err, kind)
	}
	s.end(err, kind, at)
	return s.p.of(s.o, kind), max(at.Sub(s.start).Seconds(), 0)
}

// end ends the span with the error, which is of a kind.
func (s *spanned) end(err error, kind string, at time.Time) {
	switch {
	case s.span == nil:
	case s.recording():
		if err != nil {
			s.span.SetStatus(codes.Error, describe(err))
			s.set(keyErrorType.String(kind))
		}
		s.span.SetAttributes(s.p.kept(s.notes.attributes)...)
		s.notes.discard()
		s.notes = nil
		s.span.End(trace.WithTimestamp(at))
	default:
		s.span.End()
	}
}

// notes are attributes that a span gets when it ends: all at once, since an SDK takes new memory nearly each time that it is given some.
type notes struct{ attributes []attribute.KeyValue }

// commonNotes is room for the attributes of most spans.
const commonNotes = 16

var unusedNotes = sync.Pool{New: func() any { return &notes{attributes: make([]attribute.KeyValue, 0, commonNotes)} }}

func newNotes() *notes {
	return unusedNotes.Get().(*notes) //nolint:errcheck,forcetypeassert // only notes are put there
}

// discard keeps the room for another span; this one has copied what was noted.
func (n *notes) discard() {
	clear(n.attributes)
	n.attributes = n.attributes[:0]
	unusedNotes.Put(n)
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
