package rounds_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runner is a side whose runs take the given times for a hundred messages.
type runner struct {
	log *[]string
}

func (r runner) side(name string, times ...time.Duration) rounds.Side {
	return rounds.Side{Messages: 100, Peer: peer.Peer{Name: name}, Run: func(_ context.Context, p peer.Peer, _ load.Load, n int) (trial.Result, error) {
		*r.log = append(*r.log, p.Name)
		d := times[0]
		times = times[1:]
		if d == 0 {
			return trial.Result{}, errors.New("the broker is gone")
		}
		return trial.Result{Messages: n, Expected: n, Delivered: n, Distinct: n, Usage: load.Usage{Elapsed: d}}, nil
	}}
}

func TestSidesTakeTurnsAndTheOrderTurnsAround(t *testing.T) {
	t.Parallel()
	var log []string
	r := runner{&log}
	o := rounds.Play(t.Context(), rounds.Contest{Sides: []rounds.Side{r.side("ours", 1, 1, 1), r.side("peer", 1, 1, 1)}}, rounds.Settings{Rounds: 3})
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	if diff := cmp.Diff([]string{"ours", "peer", "peer", "ours", "ours", "peer"}, log); diff != "" {
		t.Error(diff)
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	var log []string
	r := runner{&log}
	// The machine slows down to a third between the rounds, and the ratio stays.
	c := rounds.Contest{Sides: []rounds.Side{r.side("ours", 100, 300, 100), r.side("peer", 200, 600, 400)}}
	o := rounds.Play(t.Context(), c, rounds.Settings{Rounds: 3})
	if diff := cmp.Diff(rounds.Ratio{Median: 2, Min: 2, Max: 4, Rounds: []float64{2, 2, 4}}, o.Read(rounds.Rate)); diff != "" {
		t.Error(diff)
	}
}

func TestAFailedRunEndsTheContest(t *testing.T) {
	t.Parallel()
	var log []string
	r := runner{&log}
	o := rounds.Play(t.Context(), rounds.Contest{Sides: []rounds.Side{r.side("ours", 1, 1), r.side("peer", 0)}}, rounds.Settings{Rounds: 2})
	if o.Err == nil || len(log) != 2 {
		t.Errorf("after %v the error is %v", log, o.Err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		bound rounds.Bound
		ratio float64
		met   bool
	}{
		{"at least what is reached", rounds.Bound{AtLeast: 1.2}, 1.2, true},
		{"more than is reached", rounds.Bound{AtLeast: 1.2}, 1.19, false},
		{"at most what is taken", rounds.Bound{AtMost: 1.4}, 1.4, true},
		{"less than is taken", rounds.Bound{AtMost: 1.4}, 1.41, false},
		{"at most, and the difference is below zero", rounds.Bound{AtMost: 1}, -1.3, true},
		{"within a range", rounds.Bound{AtLeast: 1.1, AtMost: 2.5}, 1.2, true},
		{"below a range", rounds.Bound{AtLeast: 1.1, AtMost: 2.5}, 1, false},
		{"above a range", rounds.Bound{AtLeast: 1.1, AtMost: 2.5}, 2.6, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if met := test.bound.Met(test.ratio); met != test.met {
				t.Errorf("%v of %v is %v", test.bound, test.ratio, met)
			}
		})
	}
}

func TestGrowthIsThatOfTheOuterSidesToThatOfTheInner(t *testing.T) {
	t.Parallel()
	results := make([]trial.Result, 0, 4)
	for _, ns := range []time.Duration{100, 50, 100, 300} {
		results = append(results, trial.Result{Messages: 10, Usage: load.Usage{Elapsed: 10 * ns}})
	}
	if got := rounds.Growth.Compare(results); got != 1.5 {
		t.Errorf("three times is to twice as %v, want 1.5", got)
	}
	if got := rounds.Outer(rounds.Spread).Compare(results); got != 3 {
		t.Errorf("the outer sides are %v apart, want 3", got)
	}
}
