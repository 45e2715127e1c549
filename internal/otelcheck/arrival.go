package otelcheck

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/asyncpb/async/runtime/transport"
)

// measured is a phase as it has to be told, of one message: by its definition, from the headers of the message and the times of the
// span.
type measured struct {
	phase    string
	span     *Span
	told     Attributes    // where it has to be told
	took     time.Duration // as the span has to tell
	recorded time.Duration // as the metric has to: the queue of what is pulled ends for that when it is received
	wanted   bool          // else it must not be told
}

// arrived is the message as it came to a span that handles it; nil if it is not known.
func (c *Capture) arrived(id string, s *Span) (last *Wire) {
	for i := range c.Received {
		if w := &c.Received[i]; w.Metadata[transport.MetaID] == id && !w.At.After(s.Start) {
			last = w
		}
	}
	return last
}

// firstDelivery is true for a message that nobody had before, a handler or a consumer.
func (w *Wire) firstDelivery() bool {
	attempt := w.Metadata[transport.MetaAttempt]
	return !w.Redelivered && (attempt == "" || attempt == "1") && w.Metadata[transport.MetaFailedTraceparent] == ""
}

// replayed is true for a dead letter that was brought back: its attempts are counted anew.
func (w *Wire) replayed() bool {
	return w.Metadata[transport.MetaFailedTraceparent] != "" && w.Metadata[transport.MetaAttempt] == ""
}

// measurements are the phases of all handled messages, by their definition: T_queue from async-sent-at to the handler, of first
// deliveries; T_receive from there, and T_total from async-created-at, to the end of the handler, of messages that end with it.
func (c *Capture) measurements() (all []measured) {
	for _, s := range c.OfType("process") {
		if _, batch := s.Attributes[semconv.MessagingBatchMessageCountKey]; batch {
			for _, l := range s.Links {
				all = append(all, c.measure(s, l.Attributes.Text(semconv.MessagingMessageIDKey), l.Attributes, s.Status == codes.Unset)...)
			}
			continue
		}
		over := slices.Contains([]string{"ack", "dead_letter", "reject"}, s.Attributes.Text("async.settle.outcome"))
		all = append(all, c.measure(s, s.Attributes.Text(semconv.MessagingMessageIDKey), s.Attributes, over)...)
	}
	return all
}

func (c *Capture) measure(s *Span, id string, onMessage Attributes, over bool) []measured {
	w := c.arrived(id, s)
	if w == nil {
		return nil
	}
	attempt := s.Attributes["async.delivery.attempt"].AsInt64()
	since := func(phase, header string, told Attributes, end time.Time, wanted bool) measured {
		begin := transport.ParseInstant(w.Metadata[header])
		took := end.Sub(begin)
		return measured{phase, s, told, took, took, wanted && !begin.IsZero() && took >= 0}
	}
	queue := since("queue", transport.MetaSentAt, onMessage, s.Start, w.firstDelivery() && attempt <= 1)
	for _, received := range c.OfType("receive") {
		if received.Attributes.Text(semconv.MessagingMessageIDKey) == id && !received.End.After(s.Start) {
			queue.recorded = queue.took - s.Start.Sub(received.End)
		}
	}
	return []measured{
		queue,
		since("receive", transport.MetaSentAt, s.Attributes, s.End, over),
		since("total", transport.MetaCreatedAt, s.Attributes, s.End, over),
	}
}

// checkMeasured compares what spans, links and metrics tell of the phases with their definition.
func checkMeasured(c *Capture) (r []string) {
	counts, sums := make(map[string]int64), make(map[string]time.Duration)
	for _, m := range c.measurements() {
		told, there := m.told[attribute.Key("async."+m.phase+".duration")]
		if there != m.wanted {
			(*report)(&r).add("span %q tells of its %s: %t, want %t", m.span.Name, m.phase, there, m.wanted)
		}
		if !m.wanted {
			continue
		}
		counts[m.phase]++
		sums[m.phase] += m.recorded
		_, batch := m.span.Attributes[semconv.MessagingBatchMessageCountKey]
		longest := batch && m.phase != "queue" // a batch tells of the message that took longest
		if !near(told.AsFloat64(), m.took, onHost) && (!longest || told.AsFloat64() < m.took.Seconds()) {
			(*report)(&r).add("span %q: its %s took %s, and it says %f s", m.span.Name, m.phase, m.took, told.AsFloat64())
		}
		if m.phase == "queue" && m.told.Text("async.queue.clock") != "producer" {
			(*report)(&r).add("span %q has waited by the clock of %q", m.span.Name, m.told.Text("async.queue.clock"))
		}
	}
	for _, phase := range []string{"queue", "receive", "total"} {
		metric := c.metric("async.message." + phase + ".duration")
		if metric.count() != counts[phase] {
			(*report)(&r).add("the metric %s counts %d, want %d", metric.Name, metric.count(), counts[phase])
		}
		if sum, want := metric.sum(), sums[phase]; !near(sum, want, onHost*time.Duration(max(counts[phase], 1))) {
			(*report)(&r).add("the metric %s sums up to %f s, its definition to %s", metric.Name, sum, want)
		}
	}
	return r
}
