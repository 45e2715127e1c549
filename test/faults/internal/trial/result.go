package trial

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

// Result is what became of the messages.
type Result struct {
	Fault string `json:"fault"`
	Title string `json:"title"`
	Queue string `json:"queue"`
	// Length is how long the fault lasted, and Began when.
	Length string    `json:"length,omitempty"`
	Began  time.Time `json:"began,omitzero"`
	// NotApplicable is why this fault means nothing at this queue; everything below is empty then.
	NotApplicable string             `json:"not_applicable,omitempty"`
	Sent          int                `json:"sent,omitempty"`
	Accepted      int                `json:"accepted"`
	Processed     int                `json:"processed"`
	Dead          int                `json:"dead"`
	Injected      int                `json:"injected"`
	Lost          int                `json:"lost"`
	Phantom       int                `json:"phantom"`
	Duplicate     int                `json:"duplicate"`
	Reordered     int                `json:"reordered"`
	Misdelivered  int                `json:"misdelivered"`
	Stuck         int                `json:"stuck"`
	Corrupt       int                `json:"corrupt"`
	Seconds       float64            `json:"seconds"`
	Figures       map[string]float64 `json:"figures,omitempty"`
	// Broken is one sentence for each bar that did not hold.
	Broken []string `json:"broken,omitempty"`
}

// String is the result in one line.
func (r *Result) String() string {
	if r.NotApplicable != "" {
		return fmt.Sprintf("%-4s %-7s %s: not applicable: %s", r.Fault, r.Queue, r.Title, r.NotApplicable)
	}
	var figures strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		fmt.Fprintf(&figures, ", %s %.1f", name, r.Figures[name])
	}
	verdict := "holds"
	if len(r.Broken) > 0 {
		verdict = "BROKEN: " + strings.Join(r.Broken, "; ")
	}
	return fmt.Sprintf("%-4s %-7s %s: injected %d, accepted %d, processed %d, dead %d, lost %d, phantom %d, duplicate %d, reordered %d, misdelivered %d, stuck %d, corrupt %d in %.0f s%s: %s",
		r.Fault, r.Queue, r.Title, r.Injected, r.Accepted, r.Processed, r.Dead, r.Lost, r.Phantom, r.Duplicate, r.Reordered, r.Misdelivered, r.Stuck, r.Corrupt, r.Seconds, figures.String(), verdict)
}

// newResult counts what a report holds.
func newResult(report *check.Report, injected int) *Result {
	return &Result{
		Sent: report.Sent, Accepted: report.Accepted, Processed: report.Handled, Dead: report.Dead, Injected: injected,
		Lost: len(report.Lost), Phantom: len(report.Phantom), Duplicate: len(report.Duplicate), Reordered: len(report.Reordered),
		Misdelivered: len(report.Misdelivered), Stuck: len(report.Stuck), Corrupt: len(report.Corrupt),
	}
}

// verdict is what a report breaks, and that it proves nothing if nothing was broken on purpose.
func verdict(report *check.Report, injected int) []string {
	broken := report.Broken()
	if injected == 0 {
		broken = append(broken, "nothing was injected, so nothing was proven")
	}
	return broken
}

// Compare is the result of journals that were written while somebody else broke something, injected times.
func Compare(sent, got []journal.Entry, c check.Conditions, injected int) *Result {
	report := check.Journals(sent, got, c)
	r := newResult(report, injected)
	r.Broken = verdict(report, injected)
	var first, last int64
	for _, e := range slices.Concat(sent, got) {
		if first == 0 || e.At < first {
			first = e.At
		}
		last = max(last, e.At)
	}
	r.Began, r.Seconds = time.Unix(0, first).UTC().Truncate(time.Second), time.Duration(last-first).Seconds()
	return r
}
