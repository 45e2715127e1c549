package otelcheck

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/baggage"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/transport"
)

var contexts = []Rule{
	{"R12", "every message carries a valid creation context", checkCreation},
	{"R13", "creation context, baggage and creation time are written once", checkWrittenOnce},
	{"R14", "a receiver links to each message's creation context once", checkLinks},
	{"R15", "an ambient span is the parent, else the creation context where the mode says so, else nothing is", checkParent},
	{"R16", "where the creation context is the parent beside an ambient span, that is linked", checkAmbientLink},
	{"R17", "a handler is inside of its span and has the message's baggage", checkHandlerContext},
	{"R18", "a message without a context is handled, in a trace of its own", checkMissing},
	{"R19", "of a sender that is not trusted nothing is taken over", checkUntrusted},
	{"R20", "a trace that is too old or too long ends", checkGuards},
	{"R21", "baggage and trace state come through", checkRoundTrip},
	{"R22", "without an SDK the context passes through unchanged", checkPassage},
}

// foreign is true for scenarios whose messages came from elsewhere.
func (c *Capture) foreign() bool {
	return slices.Contains([]string{"garbled", "untrusted", "old", "hops", "skew", "created ahead", "undecodable"}, c.Scenario)
}

func checkCreation(c *Capture) (r []string) {
	for _, w := range c.Sent {
		if c.Scenario == "without SDK" || c.Scenario == "garbled" {
			continue // nobody makes a context, or it came without
		}
		sc := creation(w.Metadata)
		if !sc.IsValid() {
			(*report)(&r).add("a message was sent with the traceparent %q", w.Metadata[transport.MetaTraceparent])
			continue
		}
		if c.foreign() || c.Facts.SampledOut || c.Facts.Ratio {
			continue
		}
		made := c.find(sc)
		linked := slices.ContainsFunc(c.OfType("send"), func(s *Span) bool { return s.linked(sc) > 0 })
		if (made == nil || made.Kind != trace.SpanKindProducer) && !linked {
			(*report)(&r).add("the creation context of a message is no producer's: %s", w.Metadata[transport.MetaTraceparent])
		}
	}
	return r
}

var writtenOnce = []string{transport.MetaTraceparent, transport.MetaTracestate, transport.MetaBaggage, transport.MetaCreatedAt}

func checkWrittenOnce(c *Capture) (r []string) {
	first := make(map[string]map[string]string)
	for _, w := range slices.Concat(c.Sent, c.Received) {
		id := w.Metadata[transport.MetaID]
		if first[id] == nil {
			first[id] = w.Metadata
			continue
		}
		for _, name := range writtenOnce {
			if first[id][name] != w.Metadata[name] {
				(*report)(&r).add("%s was %q and is %q", name, first[id][name], w.Metadata[name])
			}
		}
	}
	return r
}

// created is the creation context of a message, by its id.
func (c *Capture) created(id string) trace.SpanContext {
	for _, w := range slices.Concat(c.Received, c.Sent) {
		if w.Metadata[transport.MetaID] == id {
			return creation(w.Metadata)
		}
	}
	return trace.SpanContext{}
}

func checkLinks(c *Capture) (r []string) {
	for _, s := range c.OfType("process", "receive") {
		ids := []string{s.Attributes.Text(semconv.MessagingMessageIDKey)}
		if _, batch := s.Attributes[semconv.MessagingBatchMessageCountKey]; batch {
			ids = nil
			for _, l := range s.Links {
				ids = append(ids, l.Attributes.Text(semconv.MessagingMessageIDKey))
			}
		}
		for _, id := range ids {
			sc := c.created(id)
			if sc.IsValid() && s.linked(sc) != 1 {
				(*report)(&r).add("span %q links %d times to the creation of %s", s.Name, s.linked(sc), id)
			}
		}
	}
	return r
}

func checkParent(c *Capture) (r []string) {
	for _, s := range c.OfType("process") {
		if got := s.Attributes.Text("async.trace.mode"); got != c.mode() {
			(*report)(&r).add("span %q has the trace mode %q, want %q", s.Name, got, c.mode())
		}
		_, batch := s.Attributes[semconv.MessagingBatchMessageCountKey]
		sc := c.created(s.Attributes.Text(semconv.MessagingMessageIDKey))
		want := trace.SpanContext{}
		switch {
		case c.Facts.Ambient.IsValid() && c.Scenario != "ambient request":
			want = c.Facts.Ambient
		case batch, slices.Contains([]string{"old", "hops"}, c.Scenario):
		case c.mode() == "continue":
			want = sc
		}
		if !same(s.Parent, want) {
			(*report)(&r).add("span %q has the parent %s, want %s", s.Name, s.Parent.SpanID(), want.SpanID())
		}
	}
	return r
}

func checkAmbientLink(c *Capture) (r []string) {
	if c.Scenario != "ambient request" {
		return nil
	}
	for _, s := range c.OfType("process") {
		if !same(s.Parent, c.created(s.Attributes.Text(semconv.MessagingMessageIDKey))) || s.linked(c.Facts.Ambient) != 1 {
			(*report)(&r).add("span %q: its parent is %s, and it links %d times to the ambient span", s.Name, s.Parent.SpanID(), s.linked(c.Facts.Ambient))
		}
	}
	return r
}

func checkHandlerContext(c *Capture) (r []string) {
	for _, h := range c.Facts.Handlers {
		if c.quiet() {
			continue
		}
		s := c.find(h.Span)
		if s == nil || s.Type() != "process" {
			(*report)(&r).add("the handler of %s was inside of %s, which is no process span", h.MessageID, h.Span.SpanID())
			continue
		}
		if id := s.Attributes.Text(semconv.MessagingMessageIDKey); id != h.MessageID && !c.ofBatches() {
			(*report)(&r).add("the handler of %s was inside of the span of %s", h.MessageID, id)
		}
	}
	if c.Scenario != "chain" {
		return r
	}
	inside := 0
	for _, s := range c.OfType("send") {
		if parent := c.find(s.Parent); parent != nil && parent.Type() == "process" {
			inside++
		}
	}
	if inside != 1 {
		(*report)(&r).add("%d messages were sent inside of a handler's span, want 1", inside)
	}
	return r
}

func checkMissing(c *Capture) (r []string) {
	if c.Scenario != "garbled" {
		return nil
	}
	if len(c.Facts.Handlers) == 0 {
		(*report)(&r).add("the message was not handled")
	}
	for _, s := range c.OfType("process") {
		if s.Parent.IsValid() || !s.Attributes["async.context.missing"].AsBool() || len(s.Links) > 0 {
			(*report)(&r).add("span %q: parent %s, %d links, async.context.missing %s", s.Name, s.Parent.SpanID(), len(s.Links), s.Attributes.Text("async.context.missing"))
		}
	}
	return r
}

func checkUntrusted(c *Capture) (r []string) {
	if c.Scenario != "untrusted" {
		return nil
	}
	for _, s := range c.OfType("process") {
		if s.Parent.IsValid() || len(s.Links) != 1 || s.Links[0].Context.IsSampled() || s.Links[0].Context.TraceID() == s.Context.TraceID() {
			(*report)(&r).add("span %q goes on with the trace of its sender, or with its sampling", s.Name)
		}
	}
	for _, h := range c.Facts.Handlers {
		if h.Baggage != "" {
			(*report)(&r).add("the handler has the sender's baggage %q", h.Baggage)
		}
	}
	return r
}

func checkGuards(c *Capture) (r []string) {
	if c.Scenario != "old" && c.Scenario != "hops" {
		return nil
	}
	for _, s := range c.OfType("process") {
		if s.Parent.IsValid() || len(s.Links) != 1 {
			(*report)(&r).add("span %q goes on with its trace: parent %s, %d links", s.Name, s.Parent.SpanID(), len(s.Links))
		}
	}
	return r
}

func checkRoundTrip(c *Capture) (r []string) {
	if c.Scenario != "sync" {
		return nil
	}
	for _, h := range c.Facts.Handlers {
		if b, err := baggage.Parse(h.Baggage); err != nil || b.Member("customer").Value() != "7" {
			(*report)(&r).add("the handler has the baggage %q", h.Baggage)
		}
		if h.Span.TraceState().String() != c.Facts.Caller.TraceState().String() || h.Span.TraceState().Len() == 0 {
			(*report)(&r).add("the handler has the trace state %q, the caller %q", h.Span.TraceState(), c.Facts.Caller.TraceState())
		}
	}
	return r
}

func checkPassage(c *Capture) (r []string) {
	if c.Scenario != "without SDK" {
		return nil
	}
	for _, h := range c.Facts.Handlers {
		if !same(h.Span, c.Facts.Caller) {
			(*report)(&r).add("the handler has the context %s, the caller %s", h.Span.SpanID(), c.Facts.Caller.SpanID())
		}
	}
	if len(c.Facts.Handlers) == 0 {
		(*report)(&r).add("nothing was handled")
	}
	for _, w := range c.Sent {
		if !strings.Contains(w.Metadata[transport.MetaTraceparent], c.Facts.Caller.SpanID().String()) {
			(*report)(&r).add("the message carries %q", w.Metadata[transport.MetaTraceparent])
		}
	}
	return r
}
