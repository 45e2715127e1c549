package waterfall

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/examples/internal/console"
)

// short is the name without its package and namespace: the last of the words between dots, of each name.
func short(name string) string {
	operation, destination, found := strings.Cut(name, " ")
	if !found {
		return name[strings.LastIndexByte(name, '.')+1:]
	}
	topic, _, _ := strings.Cut(destination, ":")
	topic, rest, _ := strings.Cut(topic, "--")
	if strings.Contains(rest, "--dead") {
		operation += " dead"
	}
	return operation + " " + topic[strings.LastIndexByte(topic, '.')+1:]
}

func (t *Trace) label(r *row) string {
	if operation, _, _ := strings.Cut(r.Name(), " "); operation == "order" {
		return r.Name()
	}
	name := short(r.Name())
	if attempt := value(r, "async.delivery.attempt"); r.phase == "process" && attempt != "" && attempt != "1" {
		return name + ", attempt " + attempt
	}
	// What a failed handling sends of the same message is another attempt, or a dead letter.
	cause := t.find(r.Parent().SpanID())
	if cause == nil || cause.phase != "process" || r.phase != "send" || value(cause, "messaging.message.id") != value(r, "messaging.message.id") {
		return name
	}
	switch value(cause, "async.settle.outcome") {
	case "retry":
		return strings.Replace(name, "publish", "retry", 1)
	case "dead_letter":
		return strings.Replace(name, "publish dead", "dead letter", 1)
	default:
		return name
	}
}

func (t *Trace) find(id trace.SpanID) *row {
	for i := range t.rows {
		if t.rows[i].SpanContext().SpanID() == id {
			return &t.rows[i]
		}
	}
	return nil
}

// Table prints the phases of every message of the trace: sending, waiting in the queue, handling, and all of it.
func (t *Trace) Table(out *console.Console) {
	if len(t.rows) == 0 {
		return
	}
	out.Title("Where the time of %s went", t.rows[0].Name())
	cells := []string{"message", "T_send", "T_queue", "T_process", "T_receive", "T_total"}
	out.Line("", columns(cells)...)
	for i := range t.rows {
		r := &t.rows[i]
		if r.phase != "process" || r.sent.IsZero() {
			continue
		}
		var send time.Duration
		for j := range t.rows {
			if t.rows[j].SpanContext().SpanID() == r.from {
				send = t.rows[j].took()
			}
		}
		receive := r.EndTime().Sub(r.sent)
		out.Line("", columns([]string{
			t.label(r), text(send), text(receive - r.took()), text(r.took()), text(receive), text(send + receive),
		})...)
	}
}

// columns pads the cells: a name, then numbers.
func columns(cells []string) []string {
	const name, number = 24, 10
	var line strings.Builder
	line.WriteString(cells[0] + strings.Repeat(" ", max(name-len(cells[0]), 0)))
	for _, cell := range cells[1:] {
		line.WriteString(strings.Repeat(" ", max(number-len([]rune(cell)), 1)) + cell)
	}
	return []string{line.String()}
}

func text(d time.Duration) string {
	switch {
	case d.Abs() >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d.Abs() >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}
