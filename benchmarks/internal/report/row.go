package report

import (
	"fmt"
	"time"

	"github.com/asyncpb/async/benchmarks/internal/rounds"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

// Rows returns a row for each reading of a contest.
func Rows(part string, o rounds.Outcome) []*Row {
	var rows []*Row
	var sides []*Side
	for i, side := range o.Contest.Sides {
		sides = append(sides, newSide(side, o.Results[i]))
	}
	for _, reading := range o.Contest.Readings {
		row := &Row{ID: reading.ID, Part: part, Name: reading.Name, Metric: reading.Metric.Text, Budget: reading.Metric.Budget}
		if !reading.Bound.None() {
			row.Target = &Target{AtLeast: reading.Bound.AtLeast, AtMost: reading.Bound.AtMost}
		}
		row.Ours, row.Peer = sides[0], sides[len(sides)-1]
		if len(sides) > 2 {
			row.Others = sides[1 : len(sides)-1]
		}
		if o.Err != nil {
			row.Error = o.Err.Error()
			row.judge(false)
		} else {
			ratio := o.Read(reading.Metric)
			row.Ratio = &ratio
			row.judge(reading.Bound.Met(ratio.Median))
		}
		rows = append(rows, row)
	}
	return rows
}

func (r *Row) judge(met bool) {
	if r.Target != nil {
		r.Met = &met
	}
}

// finding says in a few words what came out.
func (r *Row) finding() string {
	switch {
	case r.Error != "":
		return r.Error
	case r.Target == nil:
		return figure(r.Ratio.Median)
	}
	return fmt.Sprintf("%s, wanted %s", figure(r.Ratio.Median), r.Target)
}

// Line is the row as a line of progress.
func (r *Row) Line() string {
	verdict := " "
	if r.Met != nil {
		verdict = map[bool]string{true: "met", false: "NOT MET"}[*r.Met]
	}
	if r.Error != "" {
		return fmt.Sprintf("%-5s %s: %s", r.ID, r.Name, r.Error)
	}
	return fmt.Sprintf("%-5s %s: %s (%s to %s) %s", r.ID, r.Name, r.finding(), figure(r.Ratio.Min), figure(r.Ratio.Max), verdict)
}

func (t *Target) String() string {
	return rounds.Bound{AtLeast: t.AtLeast, AtMost: t.AtMost}.String()
}

func newSide(s rounds.Side, results []trial.Result) *Side {
	out := &Side{Name: s.Peer.Name, Parameters: s.Load.String()}
	if len(results) == 0 {
		return out
	}
	for _, r := range results {
		out.Messages = r.Messages
		out.Expected += r.Expected
		out.Delivered += r.Delivered
		out.Distinct += r.Distinct
		out.Left += r.Left
	}
	median := func(value func(trial.Result) float64) float64 {
		values := make([]float64, len(results))
		for i, r := range results {
			values[i] = value(r)
		}
		return rounds.Median(values)
	}
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	out.PerSecond = median(trial.Result.Rate)
	out.Nanoseconds = median(trial.Result.Nanoseconds)
	out.CPU = median(func(r trial.Result) float64 { return float64(r.CPUPerMessage()) / float64(time.Microsecond) })
	out.Allocs = median(trial.Result.AllocsPerMessage)
	out.Bytes = median(trial.Result.BytesPerMessage)
	out.P50 = median(func(r trial.Result) float64 { return milliseconds(r.P50) })
	out.P99 = median(func(r trial.Result) float64 { return milliseconds(r.P99) })
	out.P999 = median(func(r trial.Result) float64 { return milliseconds(r.P999) })
	out.LiveHeap = median(func(r trial.Result) float64 { return float64(r.LiveHeap) / (1 << 20) })
	return out
}

// figure writes a ratio with as many digits as mean something.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1 || v <= 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
