package otelcheck

import (
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/asyncpb/async/runtime/transport"
)

var measures = []Rule{
	{"R32", "metrics have the names, units, kinds and buckets of the specification, and count what happened", checkMetrics},
	{"R33", "metrics have few attributes with few values", checkCardinality},
	{"R34", "a clock that is ahead is counted and not recorded", checkSkew},
	{"R35", "metrics do not depend on what is sampled", checkUnsampled},
}

var (
	shortBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	longBounds  = []float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400}
)

type instrument struct {
	kind, unit string
	bounds     []float64
}

var instruments = map[string]instrument{
	"messaging.client.operation.duration": {"histogram", "s", shortBounds},
	"messaging.process.duration":          {"histogram", "s", shortBounds},
	"messaging.client.sent.messages":      {"counter", "{message}", nil},
	"messaging.client.consumed.messages":  {"counter", "{message}", nil},
	"rpc.client.call.duration":            {"histogram", "s", shortBounds},
	"async.message.queue.duration":        {"histogram", "s", longBounds},
	"async.message.receive.duration":      {"histogram", "s", longBounds},
	"async.message.total.duration":        {"histogram", "s", longBounds},
	"async.message.clock_skew":            {"counter", "{message}", nil},
	"async.publish.pending":               {"updowncounter", "{message}", nil},
	"async.process.active":                {"updowncounter", "{message}", nil},
	"async.process.retries":               {"counter", "{attempt}", nil},
	"async.message.redeliveries":          {"counter", "{message}", nil},
	"async.message.dead_lettered":         {"counter", "{message}", nil},
	"async.message.dead_letter_failures":  {"counter", "{attempt}", nil},
	"async.consume.interruptions":         {"counter", "{interruption}", nil},
}

func checkMetrics(c *Capture) (r []string) {
	for _, m := range c.metrics() {
		want, known := instruments[m.Name]
		if !known {
			(*report)(&r).add("the metric %s is not in the specification", m.Name)
			continue
		}
		if m.Unit != want.unit || m.kind() != want.kind {
			(*report)(&r).add("the metric %s is a %s in %s", m.Name, m.kind(), m.Unit)
		}
		for _, p := range m.points() {
			if !slices.Equal(p.bounds, want.bounds) {
				(*report)(&r).add("the metric %s has the buckets %v", m.Name, p.bounds)
			}
			if want.kind == "updowncounter" && p.count != 0 {
				(*report)(&r).add("the metric %s ended at %d", m.Name, p.count)
			}
		}
	}
	if c.quiet() {
		return r
	}
	return append(r, checkCounts(c)...)
}

func checkCounts(c *Capture) (r []string) {
	count := func(name string, want int, with ...attribute.KeyValue) {
		if got := c.metric(name).count(with...); got != int64(want) {
			(*report)(&r).add("the metric %s counts %d, want %d", name, got, want)
		}
	}
	count("messaging.client.operation.duration", len(c.OfType("send", "receive", "settle")))
	count("messaging.client.operation.duration", 0, semconv.MessagingOperationTypeProcess)
	count("messaging.process.duration", len(c.OfType("process")))
	own, dead, again, retried := 0, 0, 0, c.Facts.Immediate
	for _, w := range c.Sent {
		if w.Publication.Direct || w.Publication.Group != "" {
			own++
		}
		if w.Publication.Group != "" && w.Metadata[transport.MetaDeadPending] == "" {
			retried++
		}
		if w.Metadata[transport.MetaDeadReason] != "" && w.Publication.Direct {
			dead++
		}
	}
	for _, w := range c.Received {
		if w.Redelivered && !c.reply(w) {
			again++
		}
	}
	deliveries := len(c.Received)
	if c.Facts.Receives > 0 {
		deliveries = c.Facts.Receives // what was put back unseen was not consumed
	}
	count("messaging.client.sent.messages", c.Facts.Messages+own)
	count("messaging.client.consumed.messages", deliveries)
	count("async.message.dead_lettered", dead)
	count("async.message.dead_letter_failures", 0)
	count("async.message.redeliveries", again)
	count("async.process.retries", retried)
	for name, counted := range map[string]bool{"async.publish.pending": c.Facts.Messages > 0, "async.process.active": len(c.OfType("process")) > 0} {
		if got := len(c.metric(name).points()) > 0; got != counted {
			(*report)(&r).add("the metric %s is there: %t, want %t", name, got, counted)
		}
	}
	for name, spans := range map[string][]*Span{
		"messaging.client.operation.duration": c.OfType("send", "receive", "settle"), "messaging.process.duration": c.OfType("process"),
	} {
		total := 0.0
		for _, s := range spans {
			total += s.End.Sub(s.Start).Seconds()
		}
		if diff := c.metric(name).sum() - total; max(diff, -diff) > 0.001*float64(len(spans)) {
			(*report)(&r).add("the metric %s sums up to %f s, the spans to %f s", name, c.metric(name).sum(), total)
		}
	}
	return r
}

var allowed = []attribute.Key{
	semconv.MessagingSystemKey, semconv.MessagingOperationNameKey, semconv.MessagingOperationTypeKey, semconv.MessagingDestinationNameKey,
	semconv.MessagingConsumerGroupNameKey, semconv.ServerAddressKey, semconv.ServerPortKey, semconv.ErrorTypeKey, "async.message.type",
	semconv.RPCSystemNameKey, semconv.RPCMethodKey,
}

func checkCardinality(c *Capture) (r []string) {
	for _, m := range c.metrics() {
		for _, p := range m.points() {
			for _, kv := range p.attributes.ToSlice() {
				if !slices.Contains(allowed, kv.Key) {
					(*report)(&r).add("the metric %s has the attribute %s", m.Name, kv.Key)
				}
				if generated.MatchString(kv.Value.String()) {
					(*report)(&r).add("the metric %s has the value %s of %s, which is different every time", m.Name, kv.Value, kv.Key)
				}
			}
		}
	}
	if c.Facts.StreamsBefore != c.Facts.StreamsAfter {
		(*report)(&r).add("%d metric streams have become %d", c.Facts.StreamsBefore, c.Facts.StreamsAfter)
	}
	return r
}

// ahead are the phases that cannot be measured in the scenarios whose senders' clocks are ahead.
var ahead = map[string][]string{"skew": {"queue", "receive", "total"}, "created ahead": {"total"}}

func checkSkew(c *Capture) (r []string) {
	for _, m := range c.metrics() {
		for _, p := range m.points() {
			if p.sum < 0 {
				(*report)(&r).add("the metric %s sums up to %f", m.Name, p.sum)
			}
		}
	}
	if c.quiet() {
		return r
	}
	if n := c.metric("async.message.clock_skew").count(); n != int64(c.Facts.Skewed) {
		(*report)(&r).add("the clock skew was counted %d times, want %d", n, c.Facts.Skewed)
	}
	skewed, told := ahead[c.Scenario], 0
	for _, phase := range skewed {
		if n := c.metric("async.message." + phase + ".duration").count(); n != 0 {
			(*report)(&r).add("a duration of the phase %s was recorded", phase)
		}
	}
	for _, s := range c.OfType("process", "receive") {
		if s.Attributes["async.clock_skew"].AsBool() {
			told++
		}
		for _, phase := range skewed {
			if _, set := s.Attributes[attribute.Key("async."+phase+".duration")]; set {
				(*report)(&r).add("span %q has a duration of the phase %s", s.Name, phase)
			}
		}
	}
	if told != c.Facts.Skewed {
		(*report)(&r).add("%d spans tell of the clock skew, want %d", told, c.Facts.Skewed)
	}
	return r
}

func checkUnsampled(c *Capture) (r []string) {
	if !c.Facts.SampledOut || c.Facts.Twin == nil {
		return nil
	}
	if len(c.Spans) > 0 {
		(*report)(&r).add("%d spans were recorded", len(c.Spans))
	}
	if diff := cmp.Diff(c.Facts.Twin.signature(), c.signature()); diff != "" {
		(*report)(&r).add("the metrics differ, - sampled + not: %s", strings.TrimSpace(diff))
	}
	return r
}
