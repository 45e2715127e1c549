package otelcheck

import (
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/transport"
)

// Capture is what one scenario has left.
type Capture struct {
	// Scenario is its name; System the messaging.system of its transport.
	Scenario, System string
	// Reports is true when the transport reports settlements.
	Reports bool
	Spans   []Span
	// Started and Ended count spans; after the close of the runtime.
	Started, Ended int
	Metrics        []metricdata.ScopeMetrics
	Records        []Record
	// Sent and Received are what the transport carried, in order.
	Sent, Received []Wire
	// Settled counts the settlements that the transport has reported.
	Settled int
	// Answered are the times at which the transport answered to the sends of the user's messages, by message id.
	Answered map[string]time.Time
	Facts    Facts
}

// Span is one span that has ended.
type Span struct {
	Name        string
	Kind        trace.SpanKind
	Context     trace.SpanContext
	Parent      trace.SpanContext
	Links       []Link
	Dropped     int
	Attributes  Attributes
	Given       Attributes // those it was started with
	GivenLinks  int
	Start, End  time.Time
	Status      codes.Code
	Description string
	Events      []string
	Scope       instrumentation.Scope
}

// Attributes are attributes by key.
type Attributes map[attribute.Key]attribute.Value

// Text is the attribute as a string, "" if there is none.
func (a Attributes) Text(key attribute.Key) string {
	if v, ok := a[key]; ok {
		return v.String()
	}
	return ""
}

// Link is a link of a span.
type Link struct {
	Context    trace.SpanContext
	Attributes Attributes
}

// Record is one log record.
type Record struct {
	Event      string
	Severity   int
	Span       trace.SpanID
	Attributes Attributes
}

// Wire is one message as the transport carried it.
type Wire struct {
	Publication transport.Publication // of what was sent
	Metadata    map[string]string
	Payload     string
	Redelivered bool
	At          time.Time // when it was received
}

// Facts are what a scenario knows about itself.
type Facts struct {
	// Caller is the span that the scenario's sends were called in.
	Caller trace.SpanContext
	// Ambient is the span that its handlers ran in, beside those of the telemetry.
	Ambient trace.SpanContext
	// Handlers is what handlers saw, in order.
	Handlers []Handler
	// Returned are the times at which sends returned to their callers, by message id.
	Returned map[string]time.Time
	// Phases are the durations that the scenario has arranged.
	Phases map[string]time.Duration
	// Fails is true when operations are expected to fail.
	Fails bool
	// Messages is how many messages of the user's were attempted to be sent.
	Messages int
	// Receives is how many messages were pulled.
	Receives int
	// Mode is the trace mode that the scenario's contract or subscription asks for; empty is continue.
	Mode string
	// Immediate is how many attempts were made at once, without another hand-over.
	Immediate int
	// Skewed is how many messages came from a clock that is ahead.
	Skewed int
	// StreamsBefore and StreamsAfter are numbers of metric streams before and after many messages.
	StreamsBefore, StreamsAfter int
	// Allocations is what telemetry adds to a message.
	Allocations float64
	// SampledOut is true when the sampler keeps nothing, Ratio when it keeps a part.
	SampledOut, Ratio bool
	// Twin is the same scenario on the transport that others are compared with, or without sampling.
	Twin *Capture
}

// Handler is what one call of a handler saw.
type Handler struct {
	MessageID string
	Span      trace.SpanContext
	Baggage   string
}

// Clone is a copy that can be spoiled.
func (c *Capture) Clone() *Capture {
	d := *c
	d.Spans = slices.Clone(c.Spans)
	for i := range d.Spans {
		s := &d.Spans[i]
		s.Attributes, s.Given, s.Links, s.Events = maps.Clone(s.Attributes), maps.Clone(s.Given), slices.Clone(s.Links), slices.Clone(s.Events)
		for j := range s.Links {
			s.Links[j].Attributes = maps.Clone(s.Links[j].Attributes)
		}
	}
	d.Records = slices.Clone(c.Records)
	d.Sent, d.Received = cloneWire(c.Sent), cloneWire(c.Received)
	d.Answered = maps.Clone(c.Answered)
	d.Facts.Handlers = slices.Clone(c.Facts.Handlers)
	d.Facts.Returned = maps.Clone(c.Facts.Returned)
	d.Metrics = cloneMetrics(c.Metrics)
	return &d
}

func cloneWire(all []Wire) []Wire {
	all = slices.Clone(all)
	for i := range all {
		all[i].Metadata = maps.Clone(all[i].Metadata)
	}
	return all
}

func cloneMetrics(all []metricdata.ScopeMetrics) []metricdata.ScopeMetrics {
	all = slices.Clone(all)
	for i := range all {
		all[i].Metrics = slices.Clone(all[i].Metrics)
	}
	return all
}

// Type is the span's messaging.operation.type, "" for spans of others.
func (s *Span) Type() string { return s.Attributes.Text("messaging.operation.type") }

// OfType returns the spans of an operation type.
func (c *Capture) OfType(types ...string) []*Span {
	var found []*Span
	for i := range c.Spans {
		if slices.Contains(types, c.Spans[i].Type()) {
			found = append(found, &c.Spans[i])
		}
	}
	return found
}

// mode is the trace mode that handlers are to have.
func (c *Capture) mode() string {
	if c.Facts.Mode == "" {
		return "continue"
	}
	return c.Facts.Mode
}

// quiet is true where no span is to be expected for an operation.
func (c *Capture) quiet() bool {
	return c.Facts.SampledOut || c.Facts.Ratio || c.Scenario == "without SDK"
}

// messaging returns the spans of messaging operations.
func (c *Capture) messaging() []*Span {
	return c.OfType("create", "send", "receive", "process", "settle")
}

// find returns the span with an id.
func (c *Capture) find(sc trace.SpanContext) *Span {
	for i := range c.Spans {
		if c.Spans[i].Context.SpanID() == sc.SpanID() && c.Spans[i].Context.TraceID() == sc.TraceID() {
			return &c.Spans[i]
		}
	}
	return nil
}

func same(a, b trace.SpanContext) bool {
	return a.TraceID() == b.TraceID() && a.SpanID() == b.SpanID()
}

// linked counts the links of s to sc.
func (s *Span) linked(sc trace.SpanContext) (n int) {
	for _, l := range s.Links {
		if same(l.Context, sc) {
			n++
		}
	}
	return n
}
