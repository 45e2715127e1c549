package trial

import (
	"context"
	"errors"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// attempts is how often the contract of the commands has a message tried.
const attempts = 3

// poison are the faults of messages.
func poison() []Fault {
	const every = 100
	return []Fault{
		{
			Number: "F12", Title: "one message in 100 fails its handler",
			Load:   Load{Stream: load.Commands, Rate: 1000, Writers: 16, Poison: every, Harm: "error"},
			inject: poisoned, judge: attempted,
		},
		{
			Number: "F12p", Title: "one message in 100 panics its handler",
			Load:   Load{Stream: load.Commands, Rate: 1000, Writers: 16, Poison: every, Harm: "panic"},
			inject: poisoned, judge: attempted,
		},
		{
			Number: "F13", Title: "the queue of dead letters is full",
			Load:   Load{Stream: load.Commands, Rate: 200, Writers: 16, Poison: 10, Harm: "error"},
			inject: fullDeadLetters, judge: attempted,
		},
	}
}

func poisoned(ctx context.Context, s *session) (int, error) {
	if err := load.Pass(ctx, s.length(10*time.Second, time.Minute)); err != nil {
		return 0, err
	}
	s.heal()
	return s.poison()
}

// poison counts the different messages that failed their handlers.
func (s *session) poison() (int, error) {
	got, err := s.got()
	failed := make(map[string]bool)
	for i := range got {
		if got[i].Kind == journal.Began && load.IsPoison(s.fault.Load.Poison, got[i].ID) {
			failed[got[i].ID] = true
		}
	}
	return len(failed), err
}

// attempted is what must have become of every poison: a dead letter after exactly so many attempts.
func attempted(s *session, r *Result) error {
	got, err := s.got()
	if err != nil {
		return err
	}
	calls, dead := make(map[string]int), make(map[string]bool)
	for i := range got {
		if !load.IsPoison(s.fault.Load.Poison, got[i].ID) {
			continue
		}
		switch got[i].Kind {
		case journal.Began:
			calls[got[i].ID]++
		case journal.Dead:
			dead[got[i].ID] = true
		default:
		}
	}
	wrong := 0
	for id, n := range calls {
		if n != attempts || !dead[id] {
			wrong++
		}
	}
	s.note("poison", float64(len(calls)))
	if wrong > 0 || r.Dead == 0 {
		s.fail("%d of %d poison messages are not dead letters after exactly %d attempts", wrong, len(calls), attempts)
	}
	return nil
}

// fullDeadLetters has the broker refuse dead letters for a while.
func fullDeadLetters(ctx context.Context, s *session) (int, error) {
	empty, err := s.stuffDead(ctx)
	if err != nil {
		return 0, err
	}
	err = load.Pass(ctx, s.length(10*time.Second, time.Minute))
	if err := errors.Join(err, empty()); err != nil {
		return 0, err
	}
	s.heal()
	return 1, nil
}
