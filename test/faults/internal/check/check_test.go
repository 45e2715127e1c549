package check_test

import (
	"slices"
	"testing"
	"time"

	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

func TestFatesThatTimeDecides(t *testing.T) {
	t.Parallel()
	const accepted = int64(time.Hour)
	at := func(d time.Duration) int64 { return accepted + int64(d) }
	sent := []journal.Entry{
		{Kind: journal.Sent, ID: "r-0-1", RPC: "Ship", At: accepted},
		{Kind: journal.Accepted, ID: "r-0-1", RPC: "Ship", At: accepted},
		{Kind: journal.Sent, ID: "r-0-2", RPC: "Ship", At: accepted},
	}
	for _, row := range []struct {
		name      string
		consumers []journal.Entry
		c         check.Conditions
		found     func(*check.Report) []string
		want      []string
	}{
		{
			"handled more than a minute after its acceptance is stuck",
			[]journal.Entry{{Kind: journal.Handled, ID: "r-0-1", RPC: "Ship", At: at(61 * time.Second)}},
			check.Conditions{},
			func(r *check.Report) []string { return r.Stuck },
			[]string{"r-0-1"},
		},
		{
			"handled within a minute of the last fault is not stuck",
			[]journal.Entry{{Kind: journal.Handled, ID: "r-0-1", RPC: "Ship", At: at(61 * time.Second)}},
			check.Conditions{Healed: time.Unix(0, at(30*time.Second))},
			func(r *check.Report) []string { return r.Stuck }, nil,
		},
		{
			"handled though its send had no answer is no phantom",
			[]journal.Entry{{Kind: journal.Handled, ID: "r-0-2", RPC: "Ship", At: at(1)}},
			check.Conditions{},
			func(r *check.Report) []string { return r.Phantom }, nil,
		},
		{
			"begun and not handled is lost",
			[]journal.Entry{{Kind: journal.Began, ID: "r-0-1", RPC: "Ship", At: at(1)}},
			check.Conditions{},
			func(r *check.Report) []string { return r.Lost },
			[]string{"r-0-1"},
		},
		{
			"a dead letter that is no poison is named",
			[]journal.Entry{{Kind: journal.Dead, ID: "r-0-1", At: at(1)}},
			check.Conditions{Poison: func(string) bool { return false }},
			func(r *check.Report) []string { return r.Buried },
			[]string{"r-0-1"},
		},
		{
			"poison that was handled is named",
			[]journal.Entry{{Kind: journal.Handled, ID: "r-0-1", RPC: "Ship", At: at(1)}},
			check.Conditions{Poison: func(string) bool { return true }},
			func(r *check.Report) []string { return r.Escaped },
			[]string{"r-0-1"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := check.Journals(sent, row.consumers, row.c)
			if got := row.found(r); !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v: %+v", got, row.want, r)
			}
		})
	}
}

func TestNothingAcceptedProvesNothing(t *testing.T) {
	t.Parallel()
	if broken := check.Journals(nil, nil, check.Conditions{}).Broken(); len(broken) != 1 {
		t.Errorf("got %v", broken)
	}
}
