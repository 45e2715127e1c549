package otelcheck_test

import (
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/internal/otelcheck"
	"github.com/asyncpb/async/runtime/transport"
)

// wrong is a wrong instrumentation: what it would have left of a scenario in place of ours.
type wrong struct {
	scenario string
	spoil    func(c *otelcheck.Capture)
}

func first(c *otelcheck.Capture, operationType string) *otelcheck.Span {
	return c.OfType(operationType)[0]
}

func last(c *otelcheck.Capture, operationType string) *otelcheck.Span {
	all := c.OfType(operationType)
	return slices.MaxFunc(all, func(a, b *otelcheck.Span) int { return a.Start.Compare(b.Start) })
}

var stranger = trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{9}, SpanID: trace.SpanID{9}, TraceFlags: trace.FlagsSampled})

// instrument replaces the data of a metric.
func instrument(c *otelcheck.Capture, name string, change func(m *metricdata.Metrics)) {
	for i := range c.Metrics {
		for j := range c.Metrics[i].Metrics {
			if m := &c.Metrics[i].Metrics[j]; m.Name == name {
				change(m)
			}
		}
	}
}

// uncounted takes away what a counter has counted.
func uncounted(c *otelcheck.Capture, name string) {
	instrument(c, name, func(m *metricdata.Metrics) { m.Data = metricdata.Sum[int64]{} })
}

// replaced has a metric record what another one records.
func replaced(c *otelcheck.Capture, name, by string) {
	var data metricdata.Aggregation
	instrument(c, by, func(m *metricdata.Metrics) { data = m.Data })
	instrument(c, name, func(m *metricdata.Metrics) { m.Data = data })
}

// wrongs has at least one wrong instrumentation for each rule.
var wrongs = map[string][]wrong{
	"R1": {{"sync", func(c *otelcheck.Capture) { first(c, "send").Scope.Name = "main" }}},
	"R2": {
		{"sync", func(c *otelcheck.Capture) { first(c, "process").Kind = trace.SpanKindServer }},
		{"batch", func(c *otelcheck.Capture) { first(c, "send").Kind = trace.SpanKindProducer }},
	},
	"R3": {
		{"sync", func(c *otelcheck.Capture) { first(c, "send").Name = "publish" }},
		{"sync", func(c *otelcheck.Capture) { s := first(c, "send"); s.Name += " 0191f3c2-aaaa" }},
	},
	"R4": {
		{"sync", func(c *otelcheck.Capture) { delete(first(c, "send").Attributes, "messaging.system") }},
		{"sync", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["messaging.operation.type"] = attribute.StringValue("deliver")
			first(c, "send").Attributes["messaging.operation.name"] = attribute.IntValue(1)
		}},
	},
	"R5": {{"sync", func(c *otelcheck.Capture) { delete(first(c, "process").Given, "messaging.destination.name") }}},
	"R6": {{"sync", func(c *otelcheck.Capture) {
		first(c, "send").Attributes["messaging.operation"] = attribute.StringValue("publish")
	}}},
	"R7": {
		{"sync", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["messaging.batch.message_count"] = attribute.IntValue(1)
		}},
		{"batch", func(c *otelcheck.Capture) { s := first(c, "send"); s.Links = s.Links[1:] }},
	},
	"R8": {
		{"batch", func(c *otelcheck.Capture) {
			first(c, "send").Attributes["messaging.message.id"] = attribute.StringValue("1")
		}},
		{"sync", func(c *otelcheck.Capture) { delete(first(c, "send").Attributes, "messaging.message.id") }},
	},
	"R9": {
		{"sync", func(c *otelcheck.Capture) {
			first(c, "send").Attributes["messaging.message.body.size"] = attribute.IntValue(1)
		}},
		{"sync", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["async.header.tenant"] = attribute.StringValue("acme")
		}},
		{"sync", func(c *otelcheck.Capture) {
			s := *first(c, "process")
			s.Name, s.Kind = "attempt", trace.SpanKindInternal
			c.Spans = append(c.Spans, s)
		}},
	},
	"R10": {
		{"sync", func(c *otelcheck.Capture) { first(c, "send").Status = codes.Ok }},
		{"retried", func(c *otelcheck.Capture) { delete(first(c, "process").Attributes, "error.type") }},
		{"retried", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["error.type"] = attribute.StringValue("another")
		}},
	},
	"R11": {
		{"sync", func(c *otelcheck.Capture) { first(c, "process").Events = []string{"exception"} }},
		{"retried", func(c *otelcheck.Capture) { c.Records = nil }},
	},
	"R12": {
		{"sync", func(c *otelcheck.Capture) { delete(c.Sent[0].Metadata, transport.MetaTraceparent) }},
		{"sync", func(c *otelcheck.Capture) { c.Sent[0].Metadata[transport.MetaTraceparent] = elsewhere }},
	},
	"R13": {{"retried", func(c *otelcheck.Capture) { c.Sent[1].Metadata[transport.MetaTraceparent] = elsewhere }}},
	"R14": {
		{"sync", func(c *otelcheck.Capture) { first(c, "process").Links = nil }},
		{"sync", func(c *otelcheck.Capture) { s := first(c, "process"); s.Links = append(s.Links, s.Links[0]) }},
	},
	"R15": {
		{"sync", func(c *otelcheck.Capture) { first(c, "process").Parent = trace.SpanContext{} }},
		{"linked", func(c *otelcheck.Capture) { s := first(c, "process"); s.Parent = s.Links[0].Context }},
		{"linked", func(c *otelcheck.Capture) {
			s := first(c, "process")
			s.Parent, s.Attributes["async.trace.mode"] = s.Links[0].Context, attribute.StringValue("continue")
		}},
		{"untrusted", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["async.trace.mode"] = attribute.StringValue("continue")
		}},
		{"ambient", func(c *otelcheck.Capture) { s := first(c, "process"); s.Parent = s.Links[0].Context }},
	},
	"R16": {{"ambient request", func(c *otelcheck.Capture) { s := first(c, "process"); s.Links = s.Links[:1] }}},
	"R17": {
		{"sync", func(c *otelcheck.Capture) { c.Facts.Handlers[0].Span = first(c, "send").Context }},
		{"chain", func(c *otelcheck.Capture) {
			for _, s := range c.OfType("send") {
				s.Parent = trace.SpanContext{}
			}
		}},
	},
	"R18": {
		{"garbled", func(c *otelcheck.Capture) { c.Facts.Handlers = nil }},
		{"garbled", func(c *otelcheck.Capture) { delete(first(c, "process").Attributes, "async.context.missing") }},
	},
	"R19": {
		{"untrusted", func(c *otelcheck.Capture) { s := first(c, "process"); s.Parent = s.Links[0].Context }},
		{"untrusted", func(c *otelcheck.Capture) {
			l := &first(c, "process").Links[0]
			l.Context = l.Context.WithTraceFlags(trace.FlagsSampled)
		}},
		{"untrusted", func(c *otelcheck.Capture) { c.Facts.Handlers[0].Baggage = "customer=7" }},
	},
	"R20": {
		{"old", func(c *otelcheck.Capture) { s := first(c, "process"); s.Parent = s.Links[0].Context }},
		{"hops", func(c *otelcheck.Capture) { s := first(c, "process"); s.Parent = s.Links[0].Context }},
	},
	"R21": {
		{"sync", func(c *otelcheck.Capture) { c.Facts.Handlers[0].Baggage = "" }},
		{"sync", func(c *otelcheck.Capture) {
			h := &c.Facts.Handlers[0]
			h.Span = h.Span.WithTraceState(trace.TraceState{})
		}},
	},
	"R22": {{"without SDK", func(c *otelcheck.Capture) { c.Facts.Handlers[0].Span = trace.SpanContext{} }}},
	"R23": {
		{"retried", func(c *otelcheck.Capture) { c.Spans = append(c.Spans, *first(c, "process")) }},
		{"sync", func(c *otelcheck.Capture) {
			s := *first(c, "process")
			s.Attributes = otelcheck.Attributes{"messaging.operation.type": attribute.StringValue("receive")}
			c.Spans = append(c.Spans, s)
		}},
	},
	"R24": {{"sync", func(c *otelcheck.Capture) { c.Settled++ }}, {"sync", func(c *otelcheck.Capture) { c.Reports = false }}},
	"R25": {{"sync", func(c *otelcheck.Capture) { c.Ended-- }}},
	"R26": {
		{"async", func(c *otelcheck.Capture) { s := first(c, "send"); s.End = s.Start }},
		{"async", func(c *otelcheck.Capture) { s := first(c, "send"); s.End = c.Answered["m-1"].Add(-time.Microsecond) }},
		{"sync", func(c *otelcheck.Capture) { s := first(c, "send"); s.End = c.Answered["m-1"].Add(-time.Microsecond) }},
		{"abandoned", func(c *otelcheck.Capture) { s := first(c, "send"); s.End = c.Answered["m-1"].Add(-time.Microsecond) }},
		{"sync", func(c *otelcheck.Capture) { s := first(c, "send"); s.End = s.End.Add(time.Hour) }},
	},
	"R27": {{"abandoned", func(c *otelcheck.Capture) { first(c, "send").Status = codes.Unset }}},
	"R28": {{"in process", func(c *otelcheck.Capture) { first(c, "process").Status = codes.Error }}},
	"R29": {
		{"retried", func(c *otelcheck.Capture) {
			for _, s := range c.OfType("process") {
				s.Attributes["async.delivery.attempt"] = attribute.IntValue(1)
			}
		}},
		{"retried", func(c *otelcheck.Capture) {
			for _, s := range c.OfType("process") {
				s.Attributes["async.queue.duration"] = attribute.Float64Value(1)
			}
		}},
		{"dead and replayed", func(c *otelcheck.Capture) {
			last(c, "process").Attributes["async.delivery.attempt"] = attribute.IntValue(3)
		}},
		{"dead and replayed", func(c *otelcheck.Capture) {
			last(c, "process").Attributes["async.queue.duration"] = attribute.Float64Value(1)
		}},
	},
	"R30": {
		{"sync", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["async.total.duration"] = attribute.Float64Value(7)
		}},
		{"sync", func(c *otelcheck.Capture) { delete(first(c, "process").Attributes, "async.process.duration") }},
		{"sync", func(c *otelcheck.Capture) {
			first(c, "send").Attributes["async.send.duration"] = attribute.Float64Value(7)
		}},
		{"phases", func(c *otelcheck.Capture) {
			// All of it is taken for the time in the queue.
			a := first(c, "process").Attributes
			a["async.queue.duration"] = a["async.total.duration"]
		}},
		{"phases", func(c *otelcheck.Capture) {
			a := first(c, "process").Attributes
			a["async.receive.duration"] = a["async.process.duration"]
		}},
		{"phases", func(c *otelcheck.Capture) { delete(first(c, "process").Attributes, "async.receive.duration") }},
		{"phases", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["async.queue.clock"] = attribute.StringValue("broker")
		}},
		{"retried", func(c *otelcheck.Capture) {
			for _, s := range c.OfType("process") {
				s.Attributes["async.queue.duration"] = attribute.Float64Value(s.Start.Sub(time.Unix(0, 0)).Seconds())
			}
		}},
		{"phases", func(c *otelcheck.Capture) { replaced(c, "async.message.queue.duration", "messaging.process.duration") }},
		{"phases", func(c *otelcheck.Capture) { replaced(c, "async.message.total.duration", "messaging.process.duration") }},
		{"retried", func(c *otelcheck.Capture) {
			replaced(c, "async.message.receive.duration", "messaging.process.duration")
		}},
		{"batch handler", func(c *otelcheck.Capture) { delete(first(c, "process").Links[0].Attributes, "async.queue.duration") }},
		{"batch handler", func(c *otelcheck.Capture) { delete(first(c, "process").Attributes, "async.total.duration") }},
	},
	"R31": {{"phases", func(c *otelcheck.Capture) { s := first(c, "send"); s.End = s.Start }}},
	"R32": {
		{"sync", func(c *otelcheck.Capture) {
			instrument(c, "messaging.process.duration", func(m *metricdata.Metrics) { m.Unit = "ms" })
		}},
		{"sync", func(c *otelcheck.Capture) {
			instrument(c, "messaging.process.duration", func(m *metricdata.Metrics) { m.Name = "messaging.process.time" })
		}},
		{"retried", func(c *otelcheck.Capture) { uncounted(c, "async.process.retries") }},
		{"in process", func(c *otelcheck.Capture) { uncounted(c, "async.process.retries") }},
		{"redelivered", func(c *otelcheck.Capture) { uncounted(c, "async.message.redeliveries") }},
		{"dead and replayed", func(c *otelcheck.Capture) { uncounted(c, "async.message.dead_lettered") }},
		{"sync", func(c *otelcheck.Capture) { uncounted(c, "async.process.active") }},
		{"sync", func(c *otelcheck.Capture) { uncounted(c, "async.publish.pending") }},
		{"retried", func(c *otelcheck.Capture) {
			instrument(c, "messaging.client.consumed.messages", func(m *metricdata.Metrics) { m.Data = metricdata.Sum[int64]{IsMonotonic: true} })
		}},
		{"sync", func(c *otelcheck.Capture) {
			instrument(c, "messaging.process.duration", func(m *metricdata.Metrics) {
				m.Data = metricdata.Histogram[float64]{DataPoints: []metricdata.HistogramDataPoint[float64]{{Count: 1, Bounds: []float64{0, 5, 10}}}}
			})
		}},
	},
	"R33": {
		{"sync", func(c *otelcheck.Capture) {
			instrument(c, "messaging.client.sent.messages", func(m *metricdata.Metrics) {
				id := attribute.NewSet(attribute.String("messaging.message.id", "m-1"))
				m.Data = metricdata.Sum[int64]{IsMonotonic: true, DataPoints: []metricdata.DataPoint[int64]{{Attributes: id, Value: 1}}}
			})
		}},
		{"many", func(c *otelcheck.Capture) { c.Facts.StreamsAfter++ }},
	},
	"R34": {
		{"skew", func(c *otelcheck.Capture) {
			instrument(c, "async.message.clock_skew", func(m *metricdata.Metrics) { m.Name = "another" })
		}},
		{"skew", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["async.queue.duration"] = attribute.Float64Value(-3600)
		}},
		{"created ahead", func(c *otelcheck.Capture) { uncounted(c, "async.message.clock_skew") }},
		{"created ahead", func(c *otelcheck.Capture) { delete(first(c, "process").Attributes, "async.clock_skew") }},
		{"sync", func(c *otelcheck.Capture) {
			first(c, "process").Attributes["async.clock_skew"] = attribute.BoolValue(true)
		}},
	},
	"R35": {{"unsampled", func(c *otelcheck.Capture) {
		instrument(c, "messaging.process.duration", func(m *metricdata.Metrics) { m.Data = metricdata.Histogram[float64]{} })
	}}},
	"R36": {{"ratio", func(c *otelcheck.Capture) {
		c.Spans = append(c.Spans, otelcheck.Span{Context: stranger, Attributes: first(c, "send").Attributes})
	}}},
	"R37": {{"twin", func(c *otelcheck.Capture) { first(c, "process").Parent = trace.SpanContext{} }}},
	"R38": {
		{"without SDK", func(c *otelcheck.Capture) { c.Facts.Allocations = 9 }},
		{"without SDK", func(c *otelcheck.Capture) { c.Sent[0].Metadata["uber-trace-id"] = "1" }},
	},
}

// performed finds the capture of a scenario in memory. A twin is compared with another run of the same.
func performed(t *testing.T, name string) *otelcheck.Capture {
	t.Helper()
	for _, c := range captures(t, "memory") {
		switch {
		case name == "unsampled" && c.Facts.SampledOut && c.Facts.Twin != nil:
			return c
		case name == "twin" && c.Scenario == "sync":
			twin := c.Clone()
			twin.Facts.Twin = c
			return twin
		case c.Scenario == name && c.Facts.Twin == nil:
			return c
		}
	}
	t.Fatalf("no scenario %q", name)
	return nil
}

func TestRulesNegative(t *testing.T) { //nolint:paralleltest // the scenarios are shared with TestRules, one at a time
	for _, rule := range otelcheck.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			if len(wrongs[rule.ID]) == 0 {
				t.Fatal("there is no wrong instrumentation for this rule")
			}
			for i, w := range wrongs[rule.ID] {
				c := performed(t, w.scenario).Clone()
				if before := rule.Check(c); len(before) > 0 {
					t.Fatalf("before anything is spoiled: %v", before)
				}
				w.spoil(c)
				if len(rule.Check(c)) == 0 {
					t.Errorf("%s (%s) does not see wrong instrumentation %d of scenario %q", rule.ID, rule.Says, i+1, w.scenario)
				}
			}
		})
	}
}
