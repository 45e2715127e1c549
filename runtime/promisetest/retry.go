package promisetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

var retries = part{name: "retries", tests: []test{
	{"a message that fails is tried max_attempts times and then kept", func(t *testing.T, s *stage) {
		spec, calls := s.command(), make(chan calling, 10)
		rt, stop := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			calls <- c
			return fmt.Errorf("no\r\nway: %s", strings.Repeat("never ", 100))
		})
		send(t, rt, spec, "poison", async.WithMessageID("the-same"))
		for attempt := 1; attempt <= 3; attempt++ {
			if c := next(t, calls, "an attempt"); c.info.ID != "the-same" || c.info.Attempt != attempt || c.info.MaxAttempts != 3 {
				t.Errorf("attempt %d is told as %+v", attempt, c.info)
			}
		}
		eventually(t, "it is given up", func() bool { st := rt.Stats(); return st.DeadLettered+st.Dropped > 0 })
		silent(t, calls, "it was tried once more")
		stop()
		if s.can.DeadLetter == transport.None {
			return
		}
		letter := s.dead(t, spec, 1)[0]
		if md := letter.Metadata; md[transport.MetaDeadReason] != "max-attempts" || md[transport.MetaAttempt] != "3" || md[transport.MetaID] != "the-same" {
			t.Errorf("the dead letter has %v", md)
		}
		withoutStacks(t, letter)
	}},
	{"the tries of immediate are made at once and count", func(t *testing.T, s *stage) {
		spec := s.command(func(spec *async.Spec) {
			spec.Policy.Retry.Immediate, spec.Policy.Retry.MinBackoff = new(uint32(2)), new(time.Hour)
		})
		calls := make(chan int, 10)
		rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			calls <- c.info.Attempt
			if c.info.Attempt < 3 {
				return errTrouble
			}
			return nil
		})
		send(t, rt, spec, "soon well")
		for want := 1; want <= 3; want++ {
			if got := next(t, calls, "an attempt"); got != want {
				t.Errorf("attempt %d is told as %d", want, got)
			}
		}
	}},
	{"what fails holds back nothing that does not", func(t *testing.T, s *stage) {
		spec := s.command(func(spec *async.Spec) { spec.Policy.Retry.MinBackoff = new(time.Hour) })
		good := make(chan string, 100)
		rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			if strings.HasPrefix(c.text, "bad") {
				return errTrouble
			}
			good <- c.text
			return nil
		}, async.WithConcurrency(2))
		// Fewer than the prefetch of two workers: where a transport has no delays of its own, each holds a place.
		for i := range 8 {
			send(t, rt, spec, fmt.Sprint("bad ", i))
		}
		send(t, rt, spec, "good")
		if got := next(t, good, "the good one"); got != "good" {
			t.Errorf("got %q", got)
		}
	}},
	{"a message may pass many delays", func(t *testing.T, s *stage) {
		spec := s.command(func(spec *async.Spec) {
			spec.Policy.Retry.MaxAttempts, spec.Policy.Retry.MaxBackoff = new(uint32(5)), new(50*time.Millisecond)
		})
		calls := make(chan int, 10)
		rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			calls <- c.info.Attempt
			if c.info.Attempt < 5 {
				return errTrouble
			}
			return nil
		})
		send(t, rt, spec, "again and again")
		for want := 1; want <= 5; want++ {
			if got := next(t, calls, "an attempt"); got != want {
				t.Errorf("attempt %d is told as %d", want, got)
			}
		}
	}},
}}
