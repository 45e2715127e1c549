// Package report writes what came of the contests: as JSON for programs, as a page and as a chart for people.
package report

import (
	"errors"
	"fmt"
	"time"

	"github.com/asyncpb/async/benchmarks/internal/rounds"
)

// Report is a run of the benchmarks.
type Report struct {
	// Void is true when a denominator was out of its bounds, so that no ratio means anything; VoidBecause says which.
	Void        bool      `json:"void"`
	VoidBecause []string  `json:"void_because,omitempty"`
	Form        string    `json:"form"`
	Began       time.Time `json:"began"`
	Seconds     float64   `json:"seconds"`
	Rounds      int       `json:"rounds"`
	// Time is how long a run is meant to take. Only is the expression that picked the rows; empty for all.
	Time    string  `json:"time_of_a_run"`
	Only    string  `json:"only,omitempty"`
	Machine Machine `json:"machine"`
	Rows    []*Row  `json:"rows"`
}

// Row is one comparison.
type Row struct {
	// ID is that of a target, "sane", "flat" or empty.
	ID     string        `json:"id,omitempty"`
	Part   string        `json:"part"`
	Name   string        `json:"row"`
	Metric string        `json:"metric"`
	Ours   *Side         `json:"ours"`
	Peer   *Side         `json:"peer,omitempty"`
	Others []*Side       `json:"others,omitempty"`
	Budget string        `json:"budget,omitempty"`
	Ratio  *rounds.Ratio `json:"ratio,omitempty"`
	Target *Target       `json:"target,omitempty"`
	// Met says whether the median keeps to the target, and is absent where there is none.
	Met *bool `json:"met,omitempty"`
	// Error is why there is no ratio.
	Error string `json:"error,omitempty"`
}

// Target is what a ratio has to be.
type Target struct {
	AtLeast float64 `json:"at_least,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"`
}

// Side is one side of a row: what it was, and the medians of its runs.
type Side struct {
	Name       string `json:"name"`
	Parameters string `json:"parameters"`
	// Messages is how many were measured in a run. Expected, Delivered and Distinct are those of all runs, with the ones that
	// were sent ahead; every message has to arrive once.
	Messages  int `json:"messages_a_run"`
	Expected  int `json:"expected"`
	Delivered int `json:"delivered"`
	Distinct  int `json:"distinct"`
	// Left is how many were still in the queue afterwards, because their acknowledgement was lost when the channel closed.
	Left int `json:"left_unacknowledged"`

	PerSecond   float64 `json:"messages_per_second"`
	Nanoseconds float64 `json:"ns_per_message"`
	CPU         float64 `json:"client_cpu_us_per_message"`
	Allocs      float64 `json:"allocs_per_message"`
	Bytes       float64 `json:"heap_bytes_per_message"`

	P50      float64 `json:"p50_ms,omitempty"`
	P99      float64 `json:"p99_ms,omitempty"`
	P999     float64 `json:"p99_9_ms,omitempty"`
	LiveHeap float64 `json:"live_heap_mib,omitempty"`
}

// Err says which rows have no figure.
func (r *Report) Err() error {
	var errs []error
	for _, row := range r.Rows {
		if row.Error != "" {
			errs = append(errs, fmt.Errorf("%s: %s", row.Name, row.Error))
		}
	}
	return errors.Join(errs...)
}

// Judge sets what follows from all rows. Without the rows that compare the denominators with each other nothing is known of
// them.
func (r *Report) Judge(sanity []*Row) {
	if len(sanity) == 0 {
		r.Void, r.VoidBecause = true, []string{"the denominators were not compared with each other"}
	}
	for _, row := range sanity {
		if row.Met == nil || !*row.Met {
			r.Void = true
			r.VoidBecause = append(r.VoidBecause, row.Name+": "+row.finding())
		}
	}
}

// Count returns how many targets there are and how many are met.
func (r *Report) Count() (targets, met int) {
	for _, row := range r.Rows {
		if row.Target == nil || row.ID == "sane" {
			continue
		}
		targets++
		if row.Met != nil && *row.Met {
			met++
		}
	}
	return targets, met
}
