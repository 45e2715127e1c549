package otelcheck_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/internal/otelcheck"
)

// captureOf returns the capture of one scenario on a transport.
func captureOf(t *testing.T, name, scenario string) *otelcheck.Capture {
	t.Helper()
	for _, c := range captures(t, name) {
		if c.Scenario == scenario {
			return c
		}
	}
	t.Fatalf("there is no scenario %q", scenario)
	return nil
}

// tells checks that a scenario has at least so many spans of an operation type, and that all its spans are of one trace.
func tells(t *testing.T, name, scenario string, want map[string]int) {
	t.Helper()
	c := captureOf(t, name, scenario)
	traces := make(map[trace.TraceID]bool)
	for _, s := range c.Spans {
		traces[s.Context.TraceID()] = true
	}
	if len(traces) != 1 {
		t.Errorf("%d traces, want 1", len(traces))
	}
	for operation, n := range want {
		if got := len(c.OfType(operation)); got < n {
			t.Errorf("%d spans of type %s, want %d at least", got, operation, n)
		}
	}
}

var transports = []string{"memory", "gochannel", "amqp"}

func TestAChainOfMessagesIsOneTrace(t *testing.T) { //nolint:paralleltest // the scenarios are played once, one at a time
	for _, name := range transports {
		t.Run(name, func(t *testing.T) { tells(t, name, "chain", map[string]int{"send": 2, "process": 2}) })
	}
}

func TestARetriedDeadAndReplayedMessageIsOneTrace(t *testing.T) { //nolint:paralleltest // the scenarios are played once, one at a time
	for _, name := range transports {
		t.Run(name, func(t *testing.T) { tells(t, name, "dead and replayed", map[string]int{"send": 3, "process": 3}) })
	}
}

func TestTheTreeOfSpansIsTheSameOnEveryTransport(t *testing.T) { //nolint:paralleltest // the scenarios are played once, one at a time
	trees := make(map[string]string)
	for _, c := range captures(t, "memory") {
		if !c.Facts.SampledOut {
			trees[c.Scenario] = c.Tree()
		}
	}
	// Which of 200 messages are kept is chance.
	delete(trees, "ratio")
	for _, name := range transports[1:] {
		t.Run(name, func(t *testing.T) {
			compared := 0
			for _, c := range captures(t, name) {
				want, known := trees[c.Scenario]
				if !known || c.Facts.SampledOut {
					continue
				}
				compared++
				if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(c.Tree(), "\n")); diff != "" {
					t.Errorf("scenario %q, settlements apart (-memory +%s):\n%s", c.Scenario, name, diff)
				}
			}
			if compared != len(trees) {
				t.Errorf("%d scenarios were compared, want %d", compared, len(trees))
			}
		})
	}
}

func TestTenThousandRandomIDsLeaveTheMetricStreamsAsTheyAre(t *testing.T) { //nolint:paralleltest // the scenarios are played once, one at a time
	for _, name := range transports {
		t.Run(name, func(t *testing.T) {
			facts := captureOf(t, name, "many").Facts
			if facts.StreamsBefore == 0 || facts.StreamsBefore != facts.StreamsAfter {
				t.Errorf("%d streams have become %d", facts.StreamsBefore, facts.StreamsAfter)
			}
		})
	}
}
