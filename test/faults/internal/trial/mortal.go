package trial

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

const (
	// brokerLimit is how often a quorum queue hands a message out again before it makes it a dead letter.
	brokerLimit = 100
	// hurriedDrain is how long handlers that never return are waited for.
	hurriedDrain = 5 * time.Second
	// restartPause is how long a process that ended by itself stays away, as services of systemd do by default.
	restartPause = 100 * time.Millisecond
)

// hung waits while handlers hang, ends the consumer in spite of them, and gives their messages to another one.
func hung(ctx context.Context, s *session) (int, error) {
	if err := load.Pass(ctx, s.length(12*time.Second, time.Minute)); err != nil {
		return 0, err
	}
	poison, err := s.poison()
	if err := errors.Join(err, s.pace(), s.endConsumer()); err != nil {
		return 0, err
	}
	s.fault.Load.Harm = load.HarmError
	s.fault.Load.Poison = load.Poison{}
	if err := s.startConsumer(); err != nil {
		return 0, err
	}
	s.heal()
	return poison, s.flow(ctx, s.healed, 0)
}

// released is what must have become of handlers that hung: each was told to end, and its message went to another consumer.
func released(s *session, r *Result) error {
	got, err := s.got()
	if err != nil {
		return err
	}
	s.calm(got)
	aborted := messages(got, journal.Aborted)
	s.note("told to end", float64(aborted))
	if aborted != r.Injected || r.Dead > 0 {
		s.fail("%d of %d handlers that hung were told to end, and %d messages are dead letters", aborted, r.Injected, r.Dead)
	}
	if took, most := s.figures["slowest end s"], (s.fault.Load.drain() + time.Second).Seconds(); took > most {
		s.fail("the consumer took %.1f s to end, and %.0f are allowed", took, most)
	}
	return nil
}

// crashes starts the consumer again, each time that a message has ended its process, until the message is a dead letter.
func crashes(ctx context.Context, s *session) (int, error) {
	ended := 0
	for ended <= 2*brokerLimit {
		select {
		case <-s.consumer.ended():
			ended++
			if err := load.Pass(ctx, restartPause); err != nil {
				return ended, err
			}
			if err := s.startConsumer(); err != nil {
				return ended, err
			}
			continue
		case <-ctx.Done():
			return ended, context.Cause(ctx)
		case <-time.After(time.Second):
		}
		if err := s.exhume(ctx); err != nil {
			return ended, err
		}
		got, err := s.got()
		if err != nil {
			return ended, err
		}
		if s.consumer.running() && slices.ContainsFunc(got, func(e journal.Entry) bool { return e.Kind == journal.Dead }) {
			break
		}
	}
	s.heal()
	return ended, s.flow(ctx, s.healed, 0)
}

// survived is what must have become of a message that ends its process: the broker made it a dead letter.
func survived(s *session, _ *Result) error {
	got, err := s.got()
	if err != nil {
		return err
	}
	s.calm(got)
	calls, dead := 0, false
	for i := range got {
		if s.good(got[i].ID) {
			continue
		}
		switch got[i].Kind {
		case journal.Began:
			calls++
		case journal.Dead:
			dead = true
		default:
		}
	}
	s.note("deliveries of the poison", float64(calls))
	if !dead || calls == 0 || calls > brokerLimit+1 {
		s.fail("the poison was handed out %d times, and %d are allowed; it became a dead letter: %t", calls, brokerLimit+1, dead)
	}
	return nil
}

// messages counts the different messages of which there is an entry of a kind.
func messages(entries []journal.Entry, kind journal.Kind) int {
	ids := make(map[string]bool)
	for i := range entries {
		if entries[i].Kind == kind {
			ids[entries[i].ID] = true
		}
	}
	return len(ids)
}
