package otelcheck_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/asyncpb/async/internal/otelcheck"
)

func newMessage() *message.Message { return &message.Message{Metadata: message.Metadata{}} }

// played are the captures of all scenarios on one transport. They are made once.
type played struct {
	once     sync.Once
	captures []*otelcheck.Capture
}

var stages = map[string]*played{"memory": {}, "gochannel": {}, "amqp": {}}

func play(t *testing.T, name string, s scenario) *otelcheck.Capture {
	t.Helper()
	var c *otelcheck.Capture
	perform := func(t *testing.T) {
		l := newLab(t, name, s.setup)
		s.play(l)
		c = l.capture(s.name)
	}
	if s.name == "phases" && name == "memory" {
		// Time that passes at once is exact; on a real broker only order and sign are certain.
		synctest.Test(t, perform)
		c.Facts.Phases = arranged
		return c
	}
	perform(t)
	return c
}

// captures plays every scenario on a transport. Those of memory are the twins of all others.
func captures(t *testing.T, name string) []*otelcheck.Capture {
	t.Helper()
	var twins map[string]*otelcheck.Capture
	if name != "memory" {
		twins = make(map[string]*otelcheck.Capture)
		for _, c := range captures(t, "memory") {
			if !c.Facts.SampledOut {
				twins[c.Scenario] = c
			}
		}
	}
	stage := stages[name]
	stage.once.Do(func() {
		for _, s := range scenarios() {
			c := play(t, name, s)
			if twin := twins[s.name]; twin != nil && s.name != "ratio" {
				c.Facts.Twin = twin
			}
			stage.captures = append(stage.captures, c)
		}
		stage.captures = append(stage.captures, many(t, name), unsampled(t, name))
	})
	return stage.captures
}

// unsampled plays one scenario a second time with a sampler that keeps nothing.
func unsampled(t *testing.T, name string) *otelcheck.Capture {
	t.Helper()
	for _, s := range scenarios() {
		if s.name != "retried" {
			continue
		}
		twin := play(t, name, s)
		s.setup.sampler = sdktrace.NeverSample()
		c := play(t, name, s)
		c.Facts.SampledOut, c.Facts.Twin = true, twin
		return c
	}
	t.Fatal("there is no such scenario")
	return nil
}

func TestRules(t *testing.T) { //nolint:paralleltest // the scenarios are played once, one at a time
	for _, rule := range otelcheck.Rules() {
		for _, name := range []string{"memory", "gochannel", "amqp"} {
			t.Run(rule.ID+"/"+name, func(t *testing.T) {
				for _, c := range captures(t, name) {
					for _, wrong := range rule.Check(c) {
						t.Errorf("%s (%s), scenario %q: %s", rule.ID, rule.Says, c.Scenario, wrong)
					}
				}
			})
		}
	}
}
