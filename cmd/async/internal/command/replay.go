package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/asyncpb/async/cmd/async/internal/letter"
	"github.com/asyncpb/async/cmd/async/internal/place"
	"github.com/asyncpb/async/runtime/transport"
)

// job is what replay and drop have in common.
type job struct {
	selection
	done, would string // "replayed", "would be replayed"
	dryRun      bool
	expired     int // letters that were left because their deadline has passed
	homeless    int // letters of which nothing says where they failed
	stranded    int // letters that no queue takes
	first       error
	check       func(*letter.Letter) error
	work        func(context.Context, place.Place, *letter.Letter) error
}

func (s *session) deadReplay() *cobra.Command {
	var expired bool
	j := &job{done: "replayed", would: "would be replayed"}
	c := &cobra.Command{
		Use: "replay [id...]", Short: "Send dead letters back to the group that they failed in", Args: cobra.ArbitraryArgs,
		Long: `Replay sends dead letters to the queue of the group that they failed in, and of no other group, with the same id, bytes, creation
time and trace, and with all their attempts ahead of them. A letter leaves its queue of dead letters when the broker has confirmed
that it is stored in the group's. One whose queue is gone stays, the others go on, and the exit code is 1. Interrupted at any point, replay
loses nothing: run it again to go on.`,
		Example: `  async dead replay --topic acme.orders.v1.Orders.Ship --group orders --dry-run
  async dead replay --descriptors descriptors.binpb --match reason=max-attempts --match "error=*timeout*"`,
		RunE: func(c *cobra.Command, ids []string) error { return s.run(c.Context(), j, ids) },
	}
	j.check = func(l *letter.Letter) error { return letter.CheckReplay(l, expired) }
	j.work = func(ctx context.Context, p place.Place, l *letter.Letter) error {
		return letter.Replay(ctx, p.Transport, l)
	}
	j.flags(c, 0)
	c.Flags().BoolVar(&j.dryRun, "dry-run", false, "only say what would be replayed")
	c.Flags().BoolVar(&expired, "expired", false, "also what has passed its deadline, without the deadline")
	return c
}

func (s *session) deadDrop() *cobra.Command {
	var yes bool
	j := &job{done: "dropped", would: "would be dropped"}
	c := &cobra.Command{
		Use: "drop [id...]", Short: "Delete dead letters for good", Args: cobra.ArbitraryArgs,
		Example: `  async dead drop --topic acme.orders.v1.Orders.Ship --group orders --match reason=undecodable --yes`,
		RunE: func(c *cobra.Command, ids []string) error {
			if !yes && !j.dryRun {
				return usage("drop deletes dead letters for good; see which with --dry-run, then write --yes")
			}
			if j.query.Topic == "" && j.query.Queue == "" {
				return usage("drop deletes dead letters for good; name their topic with --topic, or their queue with --queue")
			}
			return s.run(c.Context(), j, ids)
		},
	}
	j.check = func(*letter.Letter) error { return nil }
	j.work = func(context.Context, place.Place, *letter.Letter) error { return nil }
	j.flags(c, 0)
	c.Flags().BoolVar(&j.dryRun, "dry-run", false, "only say what would be dropped")
	c.Flags().BoolVar(&yes, "yes", false, "yes, delete them")
	return c
}

// run does the job at every place.
func (s *session) run(ctx context.Context, j *job, ids []string) error {
	total := 0
	err := s.each(ctx, &j.selection, ids, func(state place.State, pattern letter.Pattern, limit int) (int, error) {
		n, err := s.at(ctx, j, state, pattern, limit)
		total += n
		return n, err
	})
	s.leftBehind(j)
	if err == nil && j.stranded > 0 {
		err = fmt.Errorf("left %s that no queue takes; the first: %w", letters(j.stranded), j.first)
	}
	if err == nil && total == 0 && j.expired+j.homeless == 0 {
		s.none()
	}
	return err
}

func (s *session) at(ctx context.Context, j *job, state place.State, pattern letter.Pattern, limit int) (int, error) {
	pattern.PickFunc = func(l *letter.Letter) bool {
		err := j.check(l)
		switch {
		case errors.Is(err, letter.ErrExpired):
			j.expired++
		case errors.Is(err, letter.ErrHomeless):
			j.homeless++
		}
		return err == nil
	}
	progress := s.progress(j.done, state.DeadQueue.Ready)
	var picked []*letter.Letter
	n, err := letter.Walk(ctx, state.Place, pattern, limit, func(ctx context.Context, l *letter.Letter) (bool, error) {
		outcome := j.would
		if !j.dryRun {
			err := j.work(ctx, state.Place, l)
			if errors.Is(err, transport.ErrUnroutable) {
				j.stranded++
				j.first = cmp.Or(j.first, err)
				return false, letter.ErrStays
			}
			if err != nil {
				return false, err
			}
			outcome = j.done
		}
		if s.json {
			r := s.record(l)
			r.Outcome = outcome
			s.line(r)
		}
		if j.dryRun {
			picked = append(picked, l)
			return false, nil
		}
		progress.step()
		return true, nil
	})
	progress.end()
	switch {
	case s.json:
	case n > 0 && j.dryRun:
		s.list(state, picked, false)
		fmt.Fprintf(s.stdout, "a dry run: they %s\n", j.would)
	case n > 0 || err != nil:
		fmt.Fprintf(s.stdout, "%s: %s %s\n", state.Name(), share(n, state.DeadQueue.Ready), j.done)
	}
	if err != nil && ctx.Err() != nil {
		fmt.Fprintf(s.stderr, "async: %d %s; what is left is still a dead letter: run the same command to go on\n", n, j.done)
	}
	return n, err
}

// leftBehind says what could not be replayed, and how it can.
func (s *session) leftBehind(j *job) {
	if j.expired > 0 {
		fmt.Fprintf(s.stderr, "async: note: left %s whose deadline has passed; --expired replays them without it\n", letters(j.expired))
	}
	if j.homeless > 0 {
		fmt.Fprintf(s.stderr, "async: note: left %s, since nothing says which group failed; show them, and drop them when they are of no use\n", letters(j.homeless))
	}
}
