package check

import (
	"slices"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
)

// Rate is how many entries of a kind there were a second, from a time until another in Unix nanoseconds, of messages that
// counted says count.
func Rate(entries []journal.Entry, kind journal.Kind, from, until int64, counted func(id string) bool) float64 {
	if until <= from {
		return 0
	}
	n := 0
	for i := range entries {
		if e := &entries[i]; e.Kind == kind && e.At >= from && e.At < until && counted(e.ID) {
			n++
		}
	}
	return float64(n) / time.Duration(until-from).Seconds()
}

// Redelivered is how often one message was given to a handler again within any time of a length, at most.
func Redelivered(entries []journal.Entry, within time.Duration) int {
	calls := make(map[string][]int64)
	for i := range entries {
		if entries[i].Kind == journal.Began {
			calls[entries[i].ID] = append(calls[entries[i].ID], entries[i].At)
		}
	}
	most := 0
	for _, at := range calls {
		slices.Sort(at)
		// The first call is a delivery, and each later one a delivery again.
		again := at[1:]
		first := 0
		for i := range again {
			for again[i]-again[first] >= int64(within) {
				first++
			}
			most = max(most, i-first+1)
		}
	}
	return most
}
