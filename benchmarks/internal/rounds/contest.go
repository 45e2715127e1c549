// Package rounds runs sides against each other, in turns and in one process, so that whatever else the machine does
// meets all of them.
package rounds

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

// Side is a peer with a load.
type Side struct {
	Peer peer.Peer
	Load load.Load
	Run  trial.Func
	// Messages fixes the messages of a run. Zero takes as many as the side manages in the time of a run.
	Messages int
}

// Contest is two sides or more. The first is ours, and the others are what it is measured by.
type Contest struct {
	Sides    []Side
	Readings []Reading
}

// Settings say how long a contest takes.
type Settings struct {
	// Rounds is how often each side runs.
	Rounds int
	// Time is about how long a run measures.
	Time time.Duration
}

// Outcome is what came of a contest.
type Outcome struct {
	Contest Contest
	// Results has a slice for each side, with a result for each round.
	Results [][]trial.Result
	// Err is why the contest was given up.
	Err error
}

// Play runs a contest. Each round lets every side run once; the order turns around from round to round.
func Play(ctx context.Context, c Contest, s Settings) Outcome {
	o := Outcome{Contest: c, Results: make([][]trial.Result, len(c.Sides))}
	messages := make([]int, len(c.Sides))
	for i, side := range c.Sides {
		if messages[i], o.Err = size(ctx, side, s.Time); o.Err != nil {
			return o
		}
	}
	for round := range s.Rounds {
		order := make([]int, len(c.Sides))
		for i := range order {
			order[i] = i
		}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			r, err := run(ctx, c.Sides[i], messages[i])
			if err != nil {
				o.Err = err
				return o
			}
			o.Results[i] = append(o.Results[i], r)
		}
	}
	return o
}

// Profile runs our side once more and writes a CPU profile to path, whose folder it makes if need be.
func Profile(ctx context.Context, c Contest, s Settings, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	n, err := size(ctx, c.Sides[0], s.Time)
	if err != nil {
		return err
	}
	_, err = run(trial.WithProfile(ctx, path), c.Sides[0], n)
	return err
}

func run(ctx context.Context, side Side, n int) (trial.Result, error) {
	r, err := side.Run(ctx, side.Peer, side.Load, n)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		err = fmt.Errorf("%s (%s): %w", side.Peer.Name, side.Load, err)
	}
	return r, err
}

const (
	// trialMessages is how many messages a first run has, from which the size of the others is guessed.
	trialMessages = 400
	most          = 200_000
)

// size finds how many messages a side manages in the time of a run. What it runs for that warms the side up.
func size(ctx context.Context, side Side, d time.Duration) (int, error) {
	if side.Messages > 0 {
		return side.Messages, nil
	}
	if side.Load.Rate > 0 {
		return int(float64(side.Load.Rate) * d.Seconds()), nil
	}
	n := trialMessages
	for _, share := range []float64{0.2, 1} {
		r, err := run(ctx, side, n)
		if err != nil {
			return 0, err
		}
		n = min(most, max(trialMessages, int(r.Rate()*d.Seconds()*share)))
		if r.Elapsed > d/5 {
			n = min(most, max(trialMessages, int(r.Rate()*d.Seconds())))
			break
		}
	}
	return n, nil
}
