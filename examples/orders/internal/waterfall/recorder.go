// Package waterfall shows where the time of a message goes: as a table, and as a picture in the colours of the phases.
package waterfall

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Recorder is a [sdktrace.SpanExporter] that keeps what it gets. The zero value is empty.
type Recorder struct {
	mu    sync.Mutex
	spans []sdktrace.ReadOnlySpan
}

// ExportSpans keeps spans.
func (r *Recorder) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, spans...)
	return nil
}

// Shutdown implements [sdktrace.SpanExporter].
func (*Recorder) Shutdown(context.Context) error { return nil }

// Trace returns the trace of the span with the name, empty if there is none.
func (r *Recorder) Trace(name string) *Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.spans, func(s sdktrace.ReadOnlySpan) bool { return s.Name() == name })
	if i < 0 {
		return &Trace{}
	}
	id := r.spans[i].SpanContext().TraceID()
	byID, children := map[trace.SpanID]sdktrace.ReadOnlySpan{}, map[trace.SpanID][]sdktrace.ReadOnlySpan{}
	for _, s := range r.spans {
		if s.SpanContext().TraceID() == id {
			byID[s.SpanContext().SpanID()] = s
			children[s.Parent().SpanID()] = append(children[s.Parent().SpanID()], s)
		}
	}
	t := &Trace{title: name}
	t.add(r.spans[i], 0, children)
	for j := range t.rows {
		t.rows[j].follow(byID)
	}
	return t
}

// Trace is the spans of one trace, each below its parent.
type Trace struct {
	title string
	rows  []row
}

// Part returns the first span of that label with those below it, under the same title; nothing if there is none.
func (t *Trace) Part(label string) *Trace {
	first := slices.IndexFunc(t.rows, func(r row) bool { return t.label(&r) == label })
	if first < 0 {
		return &Trace{}
	}
	part := &Trace{title: t.title + ": " + label, rows: slices.Clone(t.rows[first:])}
	depth := part.rows[0].depth
	if end := slices.IndexFunc(part.rows[1:], func(r row) bool { return r.depth <= depth }); end >= 0 {
		part.rows = part.rows[:end+1]
	}
	for i := range part.rows {
		part.rows[i].depth -= depth
	}
	return part
}

// row is one span.
type row struct {
	sdktrace.ReadOnlySpan

	depth int
	phase string
	sent  time.Time // of a handling: when its message's sending ended; zero for all others
	from  trace.SpanID
}

func (t *Trace) add(s sdktrace.ReadOnlySpan, depth int, children map[trace.SpanID][]sdktrace.ReadOnlySpan) {
	t.rows = append(t.rows, row{ReadOnlySpan: s, depth: depth, phase: phaseOf(s)})
	below := children[s.SpanContext().SpanID()]
	slices.SortFunc(below, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	for _, child := range below {
		t.add(child, depth+1, children)
	}
}

// phaseOf is the phase that a span belongs to.
func phaseOf(s sdktrace.ReadOnlySpan) string {
	switch operation := value(s, "messaging.operation.type"); operation {
	case "create", "send":
		return "send"
	case "receive", "process", "settle":
		return operation
	default:
		return "caller"
	}
}

func value(s sdktrace.ReadOnlySpan, key attribute.Key) string {
	for _, a := range s.Attributes() {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// follow finds where the message of a handling was sent. A message that was tried again has waited since its last attempt.
func (r *row) follow(byID map[trace.SpanID]sdktrace.ReadOnlySpan) {
	if r.phase != "process" {
		return
	}
	created, ok := byID[r.Parent().SpanID()]
	if !ok {
		return
	}
	r.from, r.sent = created.SpanContext().SpanID(), created.EndTime()
	id, kind := value(r, "messaging.message.id"), value(r, "async.message.type")
	for _, s := range byID {
		again := phaseOf(s) == "send" && value(s, "messaging.message.id") == id && value(s, "async.message.type") == kind &&
			s.EndTime().After(r.sent) && s.StartTime().Before(r.StartTime())
		if again {
			r.from, r.sent = s.SpanContext().SpanID(), s.EndTime()
		}
	}
}

// queued is how long the message has waited for this handling; 0 when the handler was faster than the confirm.
func (r *row) queued() time.Duration {
	if r.sent.IsZero() {
		return 0
	}
	return max(r.StartTime().Sub(r.sent), 0)
}

func (r *row) took() time.Duration { return r.EndTime().Sub(r.StartTime()) }
