package check_test

import (
	"testing"
	"time"

	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

func TestRateCountsWhatIsInTheTime(t *testing.T) {
	t.Parallel()
	at := func(id string, kind journal.Kind, at time.Duration) journal.Entry {
		return journal.Entry{ID: id, Kind: kind, At: int64(at)}
	}
	entries := []journal.Entry{
		at("good", journal.Handled, 0), at("good", journal.Handled, 1*time.Second), at("good", journal.Handled, 2*time.Second),
		at("bad", journal.Handled, time.Second), at("good", journal.Began, time.Second), at("good", journal.Handled, 3*time.Second),
	}
	good := func(id string) bool { return id == "good" }
	if got := check.Rate(entries, journal.Handled, int64(time.Second), int64(3*time.Second), good); got != 1 {
		t.Errorf("%v a second, want 1", got)
	}
	if got := check.Rate(entries, journal.Handled, 5, 5, good); got != 0 {
		t.Errorf("%v a second in no time, want 0", got)
	}
}

func TestRedeliveredFindsTheWorstSecondOfOneMessage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		at   map[string][]time.Duration
		want int
	}{
		{"a message that is handed out once", map[string][]time.Duration{"a": {0}}, 0},
		{"the first delivery does not count", map[string][]time.Duration{"a": {0, 1, 2}}, 2},
		{"different messages are not added up", map[string][]time.Duration{"a": {0, 1}, "b": {0, 1}}, 1},
		{"a burst after a quiet time", map[string][]time.Duration{"a": {0, time.Second, 3 * time.Second, 3*time.Second + 1, 4*time.Second - 1}}, 3},
		{"a second has ended when it is over", map[string][]time.Duration{"a": {0, time.Second, 2 * time.Second}}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var entries []journal.Entry
			for id, times := range row.at {
				for _, at := range times {
					entries = append(entries, journal.Entry{ID: id, Kind: journal.Began, At: int64(at)})
				}
			}
			if got := check.Redelivered(entries, time.Second); got != row.want {
				t.Errorf("%d, want %d", got, row.want)
			}
		})
	}
}
