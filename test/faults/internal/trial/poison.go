package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
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
	limit := func(messages int) error {
		_, err := s.node.Control(ctx, "set_policy", "--apply-to", "queues", "full-"+s.namespace, "^"+s.namespace+`\..*--dead$`,
			fmt.Sprintf(`{"max-length":%d,"overflow":"reject-publish"}`, messages))
		return err
	}
	if err := limit(1); err != nil {
		return 0, err
	}
	err := load.Pass(ctx, s.length(10*time.Second, time.Minute))
	// A quorum queue whose limit is taken away altogether does not tell its publishers to go on: it gets a large one.
	healErr := limit(1_000_000)
	if err := errors.Join(err, healErr); err != nil {
		return 0, err
	}
	s.heal()
	return 1, nil
}

// exhume writes down what is among the dead letters, and takes it from there.
func (s *session) exhume(ctx context.Context) error {
	return s.administer(func(ch *amqp.Channel) error {
		var entries []journal.Entry
		for ctx.Err() == nil {
			d, ok, err := ch.Get(transport.DeadName(s.physical(), s.group()), true)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			entries = append(entries, journal.Entry{Kind: journal.Dead, ID: d.MessageId})
		}
		if len(entries) == 0 {
			return nil
		}
		j, err := journal.Open(s.journal("dead"))
		if err != nil {
			return err
		}
		return errors.Join(j.Write(entries...), j.Close())
	})
}
