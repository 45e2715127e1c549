package waterfall

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// The measures of the picture, in pixels.
const (
	width   = 1080
	left    = 250 // where time begins
	right   = 90  // for the durations behind the bars
	line    = 24
	above   = 42 // the title of a trace
	legends = 32 // the legend below the first title
	bar     = 14
	indent  = 12
	shortly = 3 // the least width of a bar
)

var colors = map[string]string{
	"caller": "#8a94a6", "send": "#2f6fde", "queue": "#f2b84b", "process": "#2f9e62", "receive": "#19a3b5", "settle": "#8a5bd1",
}

// failure is the colour around what has failed.
const failure = "#c62828"

var legend = []string{"caller", "send", "queue", "process", "receive", "settle"}

// axis maps time to pixels. Microseconds stand beside seconds here, so the pauses between two events are drawn by their logarithm:
// order is exact, and length a hint.
type axis struct {
	at []time.Time
	x  []float64
}

func newAxis(rows []row) axis {
	var a axis
	for _, r := range rows {
		a.at = append(a.at, r.StartTime(), r.EndTime())
	}
	slices.SortFunc(a.at, time.Time.Compare)
	a.at = slices.CompactFunc(a.at, time.Time.Equal)
	total := 0.0
	for i := range a.at {
		if i > 0 {
			total += math.Log1p(float64(a.at[i].Sub(a.at[i-1])) / float64(20*time.Microsecond))
		}
		a.x = append(a.x, total)
	}
	for i := range a.x {
		a.x[i] = left + a.x[i]/max(total, 1)*(width-left-right)
	}
	return a
}

func (a axis) of(t time.Time) float64 {
	i, _ := slices.BinarySearchFunc(a.at, t, time.Time.Compare)
	return a.x[min(i, len(a.x)-1)]
}

// SVG draws traces below each other: a row for each span, in the colour of its phase, and an arrow from where a message was sent
// to where it was handled. Each trace has a scale of its own.
func SVG(traces ...*Trace) []byte {
	traces = slices.DeleteFunc(slices.Clone(traces), func(t *Trace) bool { return len(t.rows) == 0 })
	var out strings.Builder
	height := legends
	for _, t := range traces {
		height += t.height()
	}
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" rx="8" fill="#ffffff"/>`+"\n", width, height)
	top := 0
	for i, t := range traces {
		fmt.Fprintf(&out, `<text x="16" y="%d" font-size="15" font-weight="bold" fill="#1d2733">%s, %s in all</text>`+"\n", top+26, html.EscapeString(t.title), text(t.lasted()))
		if i == 0 {
			drawLegend(&out)
			top += legends
		}
		t.draw(&out, top+above)
		top += t.height()
	}
	out.WriteString("</svg>\n")
	return []byte(out.String())
}

func (t *Trace) height() int { return above + line*len(t.rows) + line/2 }

func drawLegend(out *strings.Builder) {
	x := left
	for _, phase := range legend {
		fmt.Fprintf(out, `<rect x="%d" y="41" width="12" height="12" rx="2" fill="%s"/><text x="%d" y="51" fill="#1d2733">%s</text>`+"\n", x, colors[phase], x+17, phase)
		x += 92
	}
	fmt.Fprintf(out, `<rect x="%d" y="42" width="10" height="10" rx="2" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="51" fill="#1d2733">failed</text>`+"\n", x+1, failure, x+17)
	fmt.Fprintf(out, `<text x="%d" y="26" text-anchor="end" fill="#6b7685" font-size="11">time runs to the right, on a logarithmic scale</text>`+"\n", width-16)
}

func (t *Trace) draw(out *strings.Builder, top int) {
	a := newAxis(t.rows)
	places := make(map[trace.SpanID]int)
	for i := range t.rows {
		places[t.rows[i].SpanContext().SpanID()] = i
	}
	var arrows strings.Builder
	for i := range t.rows {
		t.drawRow(out, &arrows, a, top, i, places)
	}
	out.WriteString(arrows.String())
}

func (t *Trace) drawRow(out, arrows *strings.Builder, a axis, top, i int, places map[trace.SpanID]int) {
	r := &t.rows[i]
	y := top + line*i
	if i%2 == 0 {
		fmt.Fprintf(out, `<rect x="8" y="%d" width="%d" height="%d" fill="#f5f7fa"/>`+"\n", y-5, width-16, line)
	}
	fmt.Fprintf(out, `<text x="%d" y="%d" fill="#1d2733">%s</text>`+"\n", 16+indent*r.depth, y+bar-3, html.EscapeString(t.label(r)))
	from, to := a.of(r.StartTime()), a.of(r.EndTime())
	if r.queued() > 0 {
		fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", a.of(r.sent), y+4, max(from-a.of(r.sent), shortly), bar-8, colors["queue"])
	}
	stroke := ""
	if r.Status().Code == codes.Error {
		stroke = ` stroke="` + failure + `" stroke-width="2"`
	}
	fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"%s><title>%s</title></rect>`+"\n",
		from, y, max(to-from, shortly), bar, colors[r.phase], stroke, html.EscapeString(r.Name()))
	fmt.Fprintf(out, `<text x="%.1f" y="%d" font-size="11" fill="#6b7685">%s</text>`+"\n", max(to, from+shortly)+5, y+bar-3, text(r.took()))
	if j, ok := places[r.from]; ok && !r.sent.IsZero() {
		x1, y1, x2, y2 := a.of(r.sent), top+line*j+bar, from, y
		fmt.Fprintf(arrows, `<path d="M%.1f %d C%.1f %d %.1f %d %.1f %d" fill="none" stroke="#1d2733" stroke-opacity="0.45" stroke-dasharray="3 2"/>`+"\n",
			x1, y1, x1, (y1+y2)/2, x2, (y1+y2)/2, x2, y2)
		fmt.Fprintf(arrows, `<path d="M%.1f %d l-3 -6 l6 0 z" fill="#1d2733" fill-opacity="0.6"/>`+"\n", x2, y2)
	}
}

// lasted is the time from the first to the last event of the trace.
func (t *Trace) lasted() time.Duration {
	end := t.rows[0].EndTime()
	for _, r := range t.rows {
		if r.EndTime().After(end) {
			end = r.EndTime()
		}
	}
	return end.Sub(t.rows[0].StartTime())
}
