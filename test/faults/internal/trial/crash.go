package trial

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// crash are the faults of the processes themselves.
func crash() []Fault {
	return []Fault{
		{
			Number: "F7", Title: "the producer is killed", Apart: "what a killed process held is gone with its broker",
			Load: Load{Stream: load.Ordered, Rate: 2000, Writers: 64},
			inject: func(ctx context.Context, s *session) (int, error) {
				return s.kills(ctx, func() error { return s.producer.kill() }, s.startProducer)
			},
		},
		{
			Number: "F8", Title: "the consumer is killed in the middle of its work",
			Load: Load{Stream: load.Ordered, Rate: 1000, Writers: 32, Handling: 5 * time.Millisecond},
			inject: func(ctx context.Context, s *session) (int, error) {
				return s.kills(ctx, func() error { return s.consumer.kill() }, s.startConsumer)
			},
		},
		{
			Number: "F8t", Title: "the consumer is asked to end while handlers take 2 s",
			// Fewer than the consumer can handle between two ends: what it leaves behind must not be taken for lost.
			Load: Load{Stream: load.Commands, Rate: 3, Writers: 4, Handling: 2 * time.Second},
			inject: func(ctx context.Context, s *session) (int, error) {
				return s.kills(ctx, s.endConsumer, s.startConsumer)
			},
			judge: undisturbed,
		},
		{
			Number: "F14", Title: "the consumer is ten times slower than the producer",
			Load:   Load{Stream: load.Commands, Rate: 2000, Writers: 32, Handling: 80 * time.Millisecond},
			inject: slow,
		},
		{
			Number: "F14s", Title: "the consumer stays away while the producer goes on",
			Load:   Load{Stream: load.Commands, Rate: 500, Writers: 32},
			inject: stopped,
		},
	}
}

// kills ends a process again and again, at random, and starts it anew.
func (s *session) kills(ctx context.Context, end, begin func() error) (int, error) {
	kills := s.often(5, 50)
	for i := range kills {
		if err := load.Pass(ctx, 200*time.Millisecond+rand.N(800*time.Millisecond)); err != nil {
			return i, err
		}
		if err := end(); err != nil {
			return i, err
		}
		began := time.Now()
		if err := begin(); err != nil {
			return i, err
		}
		if err := s.flow(ctx, began, 0); err != nil {
			return i, err
		}
	}
	s.heal()
	return kills, nil
}

// endConsumer asks the consumer to end and waits for it.
func (s *session) endConsumer() error {
	began := time.Now()
	err := s.consumer.finish()
	s.note("slowest end s", time.Since(began).Seconds())
	return err
}

// undisturbed is what a consumer promises that may drain.
func undisturbed(s *session, r *Result) error {
	got, err := s.got()
	aborted := 0
	for i := range got {
		if got[i].Kind == journal.Aborted {
			aborted++
		}
	}
	if aborted > 0 || r.Duplicate > 0 {
		s.fail("%d handlers were aborted and %d messages handled twice, and none is allowed", aborted, r.Duplicate)
	}
	// The drain timeout of consumers is 30 s.
	if took := s.figures["slowest end s"]; took > 31 {
		s.fail("a consumer took %.0f s to end", took)
	}
	return err
}

func slow(ctx context.Context, s *session) (int, error) {
	growth := s.growth()
	if err := growth.watch(ctx, s.length(30*time.Second, 10*time.Minute), 64); err != nil {
		return 0, err
	}
	if err := s.bounded(); err != nil {
		return 0, err
	}
	return 1, s.catchUp(ctx)
}

// stopped takes the consumer away while the producer goes on.
func stopped(ctx context.Context, s *session) (int, error) {
	if err := s.consumer.finish(); err != nil {
		return 0, err
	}
	growth := s.growth()
	if err := growth.watch(ctx, s.length(30*time.Second, 10*time.Minute), 64); err != nil {
		return 0, err
	}
	if err := s.bounded(); err != nil {
		return 0, err
	}
	return 1, s.catchUp(ctx)
}

// catchUp takes a fast consumer in place of the slow one, and heals when it has handled what had gathered.
func (s *session) catchUp(ctx context.Context) error {
	ends := []party{s.producer}
	if s.consumer.running() {
		ends = append(ends, s.consumer)
	}
	for _, p := range ends {
		if err := p.finish(); err != nil {
			return err
		}
	}
	s.fault.Load.Handling = 0
	if err := s.startConsumer(); err != nil {
		return err
	}
	sent, err := s.sent()
	if err != nil {
		return err
	}
	err = eventually(ctx, s.length(patience, 30*time.Minute), "a fast consumer has handled what had gathered", func() (bool, error) {
		got, err := s.got()
		return len(check.Journals(sent, got, s.conditions()).Lost) == 0, err
	})
	s.heal()
	return err
}
