package otelcheck_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// mark is in everything that a hostile sender writes.
const mark = "h0st1le"

// hostile is trace context as nobody should believe it, the i-th of many.
func hostile(random *rand.Rand, i int) map[string]string {
	hex := func(n int) string {
		b := make([]byte, n)
		for j := range b {
			b[j] = "0123456789abcdef"[random.IntN(16)]
		}
		return string(b)
	}
	flags := []string{"01", "03", "ff", "00"}[i%4]
	traceparent := []string{
		"00-" + hex(32) + "-" + hex(16) + "-" + flags,
		"00-" + hex(32) + "-" + hex(16) + "-01",
		"01-" + hex(32) + "-" + hex(16) + "-" + flags + "-" + mark,
		"cc-" + hex(32) + "-" + hex(16) + "-01",
		"ff-" + hex(32) + "-" + hex(16) + "-01",
		"00-" + strings.Repeat("0", 32) + "-" + hex(16) + "-01",
		"00-" + hex(32) + "-" + strings.Repeat("0", 16) + "-01",
		"00-" + strings.ToUpper(hex(31)) + "F-" + hex(16) + "-01",
		"00-" + hex(31) + "-" + hex(16) + "-01",
		"00-" + hex(32) + "-" + hex(16) + "-01-" + mark,
		"00-" + hex(32) + "-" + hex(16) + "-1",
		"00_" + hex(32) + "_" + hex(16) + "_01",
		"\r\ntraceparent: 00-" + hex(32) + "-" + hex(16) + "-01",
		mark + "\x00" + strings.Repeat("a", random.IntN(8000)),
		"",
	}[i%15]
	member := func() string { return mark + fmt.Sprint(random.IntN(1000)) + "=" + mark }
	list := func(n int) string {
		all := make([]string, n)
		for j := range all {
			all[j] = member()
		}
		return strings.Join(all, ",")
	}
	sizes := []int{1, 2, 32, 33, 64, 65, 180, 500}
	return map[string]string{
		transport.MetaTraceparent:       traceparent,
		transport.MetaTracestate:        []string{list(sizes[i%8]), mark, mark + "=" + strings.Repeat("x", 300), "\r\n" + member(), ""}[i%5],
		transport.MetaBaggage:           []string{list(sizes[(i+3)%8]), member() + ";" + mark + "=" + mark, "=" + mark, mark + "=%zz", strings.Repeat("a", 8193) + "=" + mark, member() + "\x00"}[i%6],
		transport.MetaHops:              []string{"-1", "0", "31", "77", "99999999999999999999", mark}[i%6],
		transport.MetaFailedTraceparent: []string{"", traceparent, mark}[i%3],
	}
}

// TestOfAStrangersTraceNothingIsBelieved sends a thousand hostile trace headers to a subscription that does not trust its senders:
// nothing of them becomes an attribute, a parent, baggage or a decision to sample, here or in what the handler sends.
func TestOfAStrangersTraceNothingIsBelieved(t *testing.T) {
	t.Parallel()
	const messages = 1000
	for _, test := range []struct {
		name    string
		sampler sdktrace.Sampler
		sampled bool
	}{
		{"everything is sampled", sdktrace.AlwaysSample(), true},
		{"only what a caller wants is sampled", sdktrace.ParentBased(sdktrace.NeverSample()), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, "memory", setup{sampler: test.sampler})
			in, out := l.uses(spec(async.KindCommand, "Hostile")), l.uses(spec(async.KindEvent, "Next"))
			next := async.NewPublisher[*ordersv1.ShipRequest](l.rt, out)
			l.on(in, func(ctx context.Context, calls int) error {
				return next.Send(ctx, &ordersv1.ShipRequest{OrderId: fmt.Sprint(calls)})
			}, async.WithTraceMode(async.TraceUntrusted))
			stop := l.run(context.Background())
			random := rand.New(rand.NewPCG(7, 11))
			for i := range messages {
				l.inject(in, fmt.Sprintf("m-%d", i), hostile(random, i))
			}
			l.await(messages)
			l.quiet()
			stop()
			c := l.capture("hostile")
			processed := 0
			for _, s := range c.Spans {
				if s.Type() == "process" {
					processed++
					if s.Parent.IsValid() {
						t.Errorf("span %q has a parent", s.Name)
					}
				}
				if text := fmt.Sprintf("%q %q %v", s.Name, s.Description, s.Events); strings.Contains(text, mark) || s.Context.TraceState().Len() > 0 {
					t.Errorf("a span says %s, with the state %q", text, s.Context.TraceState())
				}
				for key, value := range s.Attributes {
					if strings.Contains(string(key)+value.String(), mark) {
						t.Errorf("span %q has the attribute %s=%s", s.Name, key, value.String())
					}
				}
				for _, link := range s.Links {
					if s.Type() == "process" && (link.Context.IsSampled() || link.Context.TraceState().Len() > 0) {
						t.Errorf("span %q links to %v", s.Name, link.Context)
					}
				}
			}
			want := 0
			if test.sampled {
				want = messages
			}
			if processed != want {
				t.Errorf("%d handlings are sampled, want %d", processed, want)
			}
			for _, h := range c.Facts.Handlers {
				if h.Baggage != "" || h.Span.TraceState().Len() > 0 || h.Span.IsSampled() != test.sampled {
					t.Errorf("a handler has the baggage %q, and is in %v", h.Baggage, h.Span)
				}
			}
			sent := 0
			for _, w := range c.Sent {
				sent++
				if w.Metadata[transport.MetaBaggage] != "" || w.Metadata[transport.MetaTracestate] != "" || strings.Contains(fmt.Sprint(w.Metadata), mark) {
					t.Errorf("a handler's message carries %v", w.Metadata)
				}
				if hops := w.Metadata[transport.MetaHops]; hops != "1" {
					t.Errorf("a handler's message has come through %s handlers, want 1: the first that can be believed", hops)
				}
			}
			if sent != messages {
				t.Errorf("%d messages were sent by handlers, want %d", sent, messages)
			}
		})
	}
}
