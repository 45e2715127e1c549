package otelcheck

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/transport"
)

var lifecycle = []Rule{
	{"R23", "a delivery has one process span, and only a call of Receive has a receive span", checkOnePerDelivery},
	{"R24", "there are as many settle spans as settlements, and none where the transport reports none", checkSettlements},
	{"R25", "every span that was started has ended", checkEnded},
	{"R26", "a send's span ends when the transport has answered: after an asynchronous call returned, before a synchronous one does", checkReturn},
	{"R27", "a receipt that is given up ends its span with an error", checkAbandoned},
	{"R28", "an attempt in process that is followed by a success leaves no error", checkForgiven},
	{"R29", "attempts are numbered from 1, and only the first has waited in the queue", checkAttempts},
}

// replies are the ids of replies.
func (c *Capture) reply(w Wire) bool { return w.Metadata[transport.MetaStatus] != "" }

func checkOnePerDelivery(c *Capture) (r []string) {
	if c.quiet() {
		return nil
	}
	delivered, processed, replies := map[string]int{}, map[string]int{}, 0
	for _, w := range c.Received {
		if c.reply(w) {
			replies++
			continue
		}
		delivered[w.Metadata[transport.MetaID]]++
	}
	for _, s := range c.OfType("process") {
		if _, batch := s.Attributes[semconv.MessagingBatchMessageCountKey]; batch {
			for _, l := range s.Links {
				processed[l.Attributes.Text(semconv.MessagingMessageIDKey)]++
			}
			continue
		}
		processed[s.Attributes.Text(semconv.MessagingMessageIDKey)]++
	}
	receives := len(c.OfType("receive"))
	for id, n := range delivered {
		if processed[id] != n && (c.Scenario != "redelivered" || processed[id] != 1) {
			(*report)(&r).add("message %s was delivered %d times and has %d process spans", id, n, processed[id])
		}
	}
	if want := replies + c.Facts.Receives; receives != want {
		(*report)(&r).add("%d receive spans, want %d", receives, want)
	}
	return r
}

func checkSettlements(c *Capture) (r []string) {
	if c.quiet() {
		return nil
	}
	want := 0
	if c.Reports {
		want = c.Settled
	}
	if got := len(c.OfType("settle")); got != want {
		(*report)(&r).add("%d settle spans, want %d", got, want)
	}
	return r
}

func checkEnded(c *Capture) (r []string) {
	if c.Started != c.Ended {
		(*report)(&r).add("%d spans were started and %d have ended", c.Started, c.Ended)
	}
	return r
}

func (c *Capture) sendOf(id string) *Span {
	for _, s := range c.OfType("send") {
		if s.Attributes.Text(semconv.MessagingMessageIDKey) == id {
			return s
		}
	}
	return nil
}

func checkReturn(c *Capture) (r []string) {
	if c.quiet() {
		return nil
	}
	for id, returned := range c.Facts.Returned {
		s := c.sendOf(id)
		if s == nil {
			(*report)(&r).add("message %s has no send span", id)
			continue
		}
		async := s.Attributes.Text("async.send.mode") == "async"
		if async && !returned.Before(s.End) {
			(*report)(&r).add("span %q: the call returned %s after its end", s.Name, returned.Sub(s.End))
		}
		if !async && returned.Before(s.End) {
			(*report)(&r).add("span %q: the call returned %s before its end", s.Name, s.End.Sub(returned))
		}
	}
	for id, answered := range c.Answered {
		if s := c.sendOf(id); s != nil && s.End.Before(answered) {
			(*report)(&r).add("span %q ended %s before the transport answered", s.Name, answered.Sub(s.End))
		}
	}
	if len(c.Answered) == 0 && c.Facts.Messages > 0 && !c.Facts.Fails {
		(*report)(&r).add("the transport has answered to nothing")
	}
	return r
}

func checkAbandoned(c *Capture) (r []string) {
	if c.Scenario != "abandoned" {
		return nil
	}
	sends := c.OfType("send")
	if len(sends) != 1 {
		(*report)(&r).add("%d send spans, want 1", len(sends))
	}
	for _, s := range sends {
		if s.Status != codes.Error || s.Attributes.Text(semconv.ErrorTypeKey) != "async.receipt_abandoned" {
			(*report)(&r).add("span %q: status %s, error.type %q", s.Name, s.Status, s.Attributes.Text(semconv.ErrorTypeKey))
		}
	}
	return r
}

func checkForgiven(c *Capture) (r []string) {
	if c.Scenario != "in process" {
		return nil
	}
	for _, s := range c.OfType("process") {
		if s.Status != codes.Unset || s.Attributes.Text("async.delivery.attempts") != "2" {
			(*report)(&r).add("span %q: status %s, attempts %q", s.Name, s.Status, s.Attributes.Text("async.delivery.attempts"))
		}
	}
	for _, p := range c.metric("messaging.process.duration").points() {
		if _, failed := p.attributes.Value(semconv.ErrorTypeKey); failed {
			(*report)(&r).add("the metric tells of an error")
		}
	}
	return r
}

func checkAttempts(c *Capture) (r []string) {
	byID := make(map[string][]*Span)
	for _, s := range c.OfType("process") {
		if id := s.Attributes.Text(semconv.MessagingMessageIDKey); id != "" {
			byID[id] = append(byID[id], s)
		}
	}
	for id, spans := range byID {
		slices.SortFunc(spans, func(a, b *Span) int { return a.Start.Compare(b.Start) })
		for i, s := range spans {
			attempt := s.Attributes["async.delivery.attempt"].AsInt64()
			want := int64(i + 1)
			if attempt != want {
				(*report)(&r).add("span %d of message %s is attempt %d, want %d", i+1, id, attempt, want)
			}
			if _, waited := s.Attributes["async.queue.duration"]; waited && (i > 0 || s.Attributes["async.delivery.redeliveries"].AsInt64() > 0) {
				(*report)(&r).add("attempt %d of message %s has a queue duration", i+1, id)
			}
		}
	}
	return r
}

var phases = []Rule{
	{"R30", "the phases are what the spans say, and T_send + T_receive = T_total", checkPhases},
	{"R31", "what takes time does so in its phase", checkArranged},
}

// Times are the phases of one message, by its spans.
type Times struct{ Send, Queue, Process, Receive, Total time.Duration }

// Phases returns the phases of the message whose creation span and last process span these are. Sent is the end of its sending.
func Phases(created, sent, began, done time.Time) Times {
	return Times{Send: sent.Sub(created), Queue: began.Sub(sent), Process: done.Sub(began), Receive: done.Sub(sent), Total: done.Sub(created)}
}

func near(attribute float64, span, tolerance time.Duration) bool {
	d := time.Duration(attribute*float64(time.Second)) - span
	return d.Abs() <= tolerance
}

func checkPhases(c *Capture) (r []string) {
	const onSpan, onHost = time.Millisecond, 5 * time.Millisecond
	for _, s := range c.OfType("send") {
		v, set := s.Attributes["async.send.duration"]
		if set && !near(v.AsFloat64(), s.End.Sub(s.Start), onSpan) {
			(*report)(&r).add("span %q took %s and says %f s", s.Name, s.End.Sub(s.Start), v.AsFloat64())
		}
		if s.Kind == trace.SpanKindProducer && !set && s.Attributes.Text(semconv.MessagingOperationNameKey) == "publish" {
			(*report)(&r).add("span %q does not say how long it took", s.Name)
		}
	}
	for _, p := range c.OfType("process") {
		v, set := p.Attributes["async.process.duration"]
		if !set || !near(v.AsFloat64(), p.End.Sub(p.Start), onSpan) {
			(*report)(&r).add("span %q took %s and says %f s", p.Name, p.End.Sub(p.Start), v.AsFloat64())
		}
		created := c.find(c.created(p.Attributes.Text(semconv.MessagingMessageIDKey)))
		if created == nil || created.Type() != "send" {
			continue
		}
		t := Phases(created.Start, created.End, p.Start, p.End)
		if t.Send+t.Receive != t.Total || t.Queue+t.Process != t.Receive || min(t.Send, t.Process, t.Total) < 0 {
			(*report)(&r).add("span %q: the phases are %+v", p.Name, t)
		}
		if v, set := p.Attributes["async.total.duration"]; set && !near(v.AsFloat64(), t.Total, onHost) {
			(*report)(&r).add("span %q: the total is %s, and it says %f s", p.Name, t.Total, v.AsFloat64())
		}
		receive, total := p.Attributes["async.receive.duration"].AsFloat64(), p.Attributes["async.total.duration"].AsFloat64()
		if receive < 0 || receive > total+onHost.Seconds() {
			(*report)(&r).add("span %q: it says %f s to receive, of %f s in all", p.Name, receive, total)
		}
	}
	return r
}

func checkArranged(c *Capture) (r []string) {
	if c.Scenario != "phases" {
		return nil
	}
	for _, p := range c.OfType("process") {
		created := c.find(c.created(p.Attributes.Text(semconv.MessagingMessageIDKey)))
		if created == nil {
			(*report)(&r).add("the message of span %q was created nowhere", p.Name)
			continue
		}
		t := Phases(created.Start, created.End, p.Start, p.End)
		got := map[string]time.Duration{"send": t.Send, "queue": t.Queue, "process": t.Process}
		for name, want := range c.Facts.Phases {
			if float64((got[name] - want).Abs()) > 0.2*float64(want) {
				(*report)(&r).add("the phase %s took %s, want %s", name, got[name], want)
			}
		}
		if t.Send < 0 || t.Process <= 0 || t.Total < t.Process {
			(*report)(&r).add("the phases are %+v", t)
		}
	}
	return r
}
