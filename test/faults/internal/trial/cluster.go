package trial

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
	"github.com/asyncpb/async/test/faults/internal/node"
)

// cluster are the faults of several nodes that hold the same queues.
func cluster() []Fault {
	return []Fault{{
		Number: "F11", Title: "in a cluster of three, the queue's leader is killed, then cut off", Nodes: 3, Apart: noNode,
		Load:   Load{Stream: load.Commands, Rate: 500, Writers: 16},
		inject: leaderless,
	}}
}

// resumeBar is how long a cluster may take until messages flow without the leader that a queue had.
const resumeBar = 30 * time.Second

func leaderless(ctx context.Context, s *session) (int, error) {
	kinds := []struct {
		name        string
		harm, mend  func(*node.Node) error
		absentAfter time.Duration
	}{
		{"killed", (*node.Node).Kill, func(n *node.Node) error { return n.Start(ctx) }, time.Second},
		{"cut off", (*node.Node).Pause, (*node.Node).Resume, time.Second},
	}
	times := s.often(1, 3)
	injected := 0
	for range times {
		for _, k := range kinds {
			leader, err := s.leader(ctx)
			if err != nil {
				return injected, err
			}
			harmed := time.Now()
			if err := k.harm(leader); err != nil {
				return injected, err
			}
			injected++
			if err := s.resumed(ctx, k.name, harmed.Add(k.absentAfter), k.absentAfter); err != nil {
				return injected, fmt.Errorf("with a leader that was %s: %w", k.name, err)
			}
			if err := k.mend(leader); err != nil {
				return injected, err
			}
			s.heal()
			if err := errors.Join(s.flow(ctx, s.healed, 0), s.complete(ctx)); err != nil {
				return injected, fmt.Errorf("after a leader that was %s had come back: %w", k.name, err)
			}
		}
	}
	return injected, nil
}

// resumed waits for messages that were accepted and handled after t. What was on its way when the leader went is accepted
// before that and proves nothing, so t is a little, lag, after the harm.
func (s *session) resumed(ctx context.Context, harm string, t time.Time, lag time.Duration) error {
	accepted, err1 := s.since(ctx, t, journal.Accepted)
	handled, err2 := s.since(ctx, t, journal.Handled)
	accepted, handled = accepted+lag, handled+lag
	s.note("accepted without a leader that was "+harm+" s", accepted.Seconds())
	s.note("handled without a leader that was "+harm+" s", handled.Seconds())
	if max(accepted, handled) > resumeBar {
		s.fail("with a leader that was %s, sends went on after %s and handlers after %s, and %s was allowed", harm, accepted, handled, resumeBar)
	}
	return errors.Join(err1, err2)
}

// members says which nodes lead the queue of the trial and which are up for it.
func (s *session) members(ctx context.Context) (leader, online string, err error) {
	var errs []error
	for _, n := range s.nodes {
		out, err := n.Control(ctx, "list_queues", "--no-table-headers", "--timeout", "10", "name", "leader", "online")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for line := range strings.Lines(out) {
			if f := strings.SplitN(strings.TrimSpace(line), "\t", 3); len(f) == 3 && strings.HasPrefix(f[0], s.physical()+"--") && !strings.HasSuffix(f[0], "--dead") {
				return f[1], f[2], nil
			}
		}
		errs = append(errs, fmt.Errorf("no queue of %s in %q", s.physical(), out))
	}
	return "", "", errors.Join(errs...)
}

func (s *session) leader(ctx context.Context) (*node.Node, error) {
	name, _, err := s.members(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range s.nodes {
		if n.Name() == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("the queue is led by %q, which is no node of the cluster", name)
}

// complete waits until every node holds the queue again.
func (s *session) complete(ctx context.Context) error {
	return eventually(ctx, patience, "the cluster is complete", func() (bool, error) {
		_, online, err := s.members(ctx)
		for _, n := range s.nodes {
			if err != nil || !strings.Contains(online, n.Name()) {
				return false, nil //nolint:nilerr // it is asked again
			}
		}
		return true, nil
	})
}
