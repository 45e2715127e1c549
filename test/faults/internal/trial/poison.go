package trial

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// attempts is how often the contract of the commands has a message tried.
const attempts = 3

// poison are the faults of messages.
func poison() []Fault {
	return []Fault{
		{
			Number: "F12", Title: "one message in 100 fails its handler",
			Load:   poisonous(load.HarmError),
			inject: poisoned, judge: attempted,
		},
		{
			Number: "F12p", Title: "one message in 100 panics its handler",
			Load:   poisonous(load.HarmPanic),
			inject: poisoned, judge: attempted,
		},
		{
			Number: "F12g", Title: "one message in 100 ends the goroutine of its handler",
			Load:   poisonous(load.HarmGoexit),
			inject: poisoned, judge: attempted,
		},
		{
			Number: "F12b", Title: "one message in 100 cannot be decoded",
			Load:   poisonous(load.HarmBytes),
			inject: poisoned, judge: undecoded,
		},
		{
			Number: "F12h", Title: "four handlers of sixteen never return",
			Load:   Load{Stream: load.Commands, Rate: 500, Writers: 16, Poison: load.Poison{Every: 30, Most: 4}, Harm: load.HarmHang, Drain: hurriedDrain},
			inject: hung, judge: released,
		},
		{
			Number: "F12x", Title: "a message ends the process of its handler",
			Apart: "what ends the process of a handler ends the broker that is in it",
			// The broker counts a delivery for all that was out when the process ended.
			Buries: workers - 1,
			Quorum: "such a queue counts no deliveries, and gives the message to the next consumer for ever",
			Load:   Load{Stream: load.Commands, Rate: 200, Writers: 16, Poison: load.Poison{Every: 10, Most: 1}, Harm: load.HarmExit},
			inject: crashes, judge: survived,
		},
		{
			Number: "F13", Title: "the queue of dead letters is full",
			Load:   Load{Stream: load.Commands, Rate: 200, Writers: 16, Poison: load.Poison{Every: 10}, Harm: load.HarmError},
			inject: fullDeadLetters, judge: alarmed,
		},
	}
}

func poisoned(ctx context.Context, s *session) (int, error) {
	if err := load.Pass(ctx, s.length(10*time.Second, time.Minute)); err != nil {
		return 0, err
	}
	s.heal()
	poison, err := s.poison()
	return poison, errors.Join(err, s.pace())
}

// poisonous is the load with one poison message in 100.
func poisonous(harm load.Harm) Load {
	return Load{Stream: load.Commands, Rate: 1000, Writers: 16, Poison: load.Poison{Every: 100}, Harm: harm}
}

// deadly says whether what is poison must become a dead letter. What hangs is handled when it is handed out again.
func (s *session) deadly() bool {
	return s.fault.Load.Poison.Every > 0 && s.fault.Load.Harm != load.HarmHang
}

// spoilt is which of the messages of each key, one in so many, is sent so that nobody can decode it.
func (s *session) spoilt() int {
	if s.fault.Load.Harm == load.HarmBytes {
		return s.fault.Load.Poison.Every
	}
	return 0
}

// poison counts the different messages that did harm to their handlers, or were accepted so that nobody can decode them.
func (s *session) poison() (int, error) {
	read, kind := s.got, journal.Began
	if s.spoilt() > 0 {
		read, kind = s.sent, journal.Accepted
	}
	entries, err := read()
	bad := slices.DeleteFunc(entries, func(e journal.Entry) bool { return s.good(e.ID) })
	return messages(bad, kind), err
}

// attempted is what must have become of every poison: a dead letter after exactly so many attempts.
func attempted(s *session, r *Result) error {
	got, err := s.got()
	if err != nil {
		return err
	}
	s.calm(got)
	calls, dead := make(map[string]int), make(map[string]bool)
	for i := range got {
		if !s.fault.Load.Poison.Has(got[i].ID) {
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

// Figures of dead letters that are refused.
const (
	unburied = "dead letters that could not be stored"
	refusing = "refused for s"
)

// alarmed is attempted, that the consumer has counted the dead letters that it could not store, and that it tried to store each
// once a second at most.
func alarmed(s *session, r *Result) error {
	if err := errors.Join(attempted(s, r), s.counted(journal.Unburied, unburied)); err != nil {
		return err
	}
	if tries, most := s.figures[unburied], s.figures["poison"]*s.figures[refusing]; tries > most {
		s.fail("%.0f dead letters were tried to be stored %.0f times in %.0f s, and once a second each is allowed", s.figures["poison"], tries, s.figures[refusing])
	}
	return nil
}

// undecoded is what must have become of what nobody can decode: a dead letter at the first attempt, which no handler saw.
func undecoded(s *session, r *Result) error {
	got, err := s.got()
	if err != nil {
		return err
	}
	s.calm(got)
	wrong := 0
	for i := range got {
		e := &got[i]
		if !s.good(e.ID) && (e.Kind != journal.Dead || e.Attempt != 1) {
			wrong++
		}
	}
	if wrong > 0 || r.Dead == 0 {
		s.fail("%d dead letters; %d times a message that nobody can decode was handled, or tried again", r.Dead, wrong)
	}
	return nil
}

// fullDeadLetters has the broker refuse dead letters for a while.
func fullDeadLetters(ctx context.Context, s *session) (int, error) {
	began := time.Now()
	empty, err := s.stuffDead(ctx)
	if err != nil {
		return 0, err
	}
	err = load.Pass(ctx, s.length(10*time.Second, time.Minute))
	s.note(refusing, time.Since(began).Seconds())
	if err := errors.Join(err, empty()); err != nil {
		return 0, err
	}
	s.heal()
	return 1, nil
}
