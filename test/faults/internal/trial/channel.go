package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// consumerTimeout is how long a handler may take with a broker that has lost its patience; RabbitMQ's default is 30 min.
const consumerTimeout = 10 * time.Second

// misacks closes the channel on which the consumer acknowledges, and one on which the producer sends.
func misacks(ctx context.Context, s *session) (int, error) {
	times := s.often(3, 20)
	wrong := func() int { return s.sending.Misacked() + s.taking.Misacked() }
	for i := range times {
		before := wrong()
		s.sending.Misack()
		s.taking.Misack()
		err := eventually(ctx, patience, "both have acknowledged what was never delivered", func() (bool, error) {
			return wrong() >= before+2, nil
		})
		if err != nil {
			return i, err
		}
		s.heal()
		if err := s.flow(ctx, s.healed, 5*time.Second); err != nil {
			return i, err
		}
		if err := load.Pass(ctx, time.Second); err != nil {
			return i, err
		}
	}
	return wrong(), nil
}

// impatience has the broker close the channel of a consumer whose handlers take too long, and lets a consumer meet it.
func impatience(ctx context.Context, s *session) (int, error) {
	// The broker looks once a minute by default. It reads both settings for each new channel.
	set := fmt.Sprintf("application:set_env(rabbit, consumer_timeout, %d), application:set_env(rabbit, channel_tick_interval, 1000).", consumerTimeout.Milliseconds())
	reset := "application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000)."
	if _, err := s.node.Control(ctx, "eval", set); err != nil {
		return 0, err
	}
	told, err := s.disappoint(ctx)
	_, resetErr := s.node.Control(ctx, "eval", reset)
	return told, errors.Join(err, resetErr)
}

// disappoint starts the consumer anew, and returns how many of its handlers were told that their deliveries are lost.
func (s *session) disappoint(ctx context.Context) (int, error) {
	if err := errors.Join(s.consumer.kill(), s.startConsumer()); err != nil {
		return 0, err
	}
	var told []journal.Entry
	err := eventually(ctx, patience, "every handler that hangs was told that its delivery is lost", func() (bool, error) {
		got, err := s.got()
		told = told[:0]
		for i := range got {
			if got[i].Kind == journal.Aborted && !s.good(got[i].ID) {
				told = append(told, got[i])
			}
		}
		return messages(told, journal.Aborted) == s.fault.Load.Poison.Most, err
	})
	if err != nil {
		return 0, err
	}
	s.heal()
	return len(told), s.flow(ctx, s.healed, 5*time.Second)
}

// retold is what must have become of messages whose handlers took too long: they were handed out again, and handled.
func retold(s *session, r *Result) error {
	got, err := s.got()
	if err != nil {
		return err
	}
	s.calm(got)
	handled := make(map[string]bool)
	for i := range got {
		if got[i].Kind == journal.Handled && !s.good(got[i].ID) {
			handled[got[i].ID] = true
		}
	}
	if len(handled) != s.fault.Load.Poison.Most || r.Dead > 0 {
		s.fail("%d of %d messages whose handlers took too long were handled again, and %d are dead letters", len(handled), s.fault.Load.Poison.Most, r.Dead)
	}
	return nil
}
