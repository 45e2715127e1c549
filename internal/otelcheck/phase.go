package otelcheck

import (
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const (
	// onSpan is how far apart two readings of one operation may be, onHost those of two operations on one host.
	onSpan, onHost = time.Millisecond, 5 * time.Millisecond
)

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
	}
	if c.quiet() {
		return r
	}
	return append(r, checkMeasured(c)...)
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
