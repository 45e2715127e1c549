package otelcheck

import (
	"slices"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/asyncpb/async/runtime/transport"
)

var lifecycle = []Rule{
	{"R23", "a delivery has one process span, and only a call of Receive has a receive span", checkOnePerDelivery},
	{"R24", "there are as many settle spans as settlements, and none where the transport reports none", checkSettlements},
	{"R25", "every span that was started has ended", checkEnded},
	{"R26", "a send's span ends when the transport has answered: after an asynchronous call returned, before a synchronous one does", checkReturn},
	{"R27", "a receipt that is given up ends its span with an error", checkAbandoned},
	{"R28", "an attempt in process that is followed by a success leaves no error", checkForgiven},
	{"R29", "attempts are numbered from 1, a replay's anew, and only the first of all has waited in the queue", checkAttempts},
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

func (c *Capture) sendOf(id string) (first *Span) {
	// A retry has the id of what is tried again, and may end before the send that came first: it began later.
	for _, s := range c.OfType("send") {
		if s.Attributes.Text(semconv.MessagingMessageIDKey) == id && (first == nil || s.Start.Before(first.Start)) {
			first = s
		}
	}
	return first
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
		want := int64(0)
		for i, s := range spans {
			attempt := s.Attributes["async.delivery.attempt"].AsInt64()
			want++
			if w := c.arrived(id, s); w != nil && w.replayed() {
				want = 1
			}
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
