package promisetest

import (
	"context"
	"testing"
	"time"

	async "github.com/asyncpb/async/runtime"
)

var deduplication = part{name: "deduplication", tests: []test{
	{"a message that comes twice is handled once", func(t *testing.T, s *stage) {
		spec, calls := s.command(), make(chan string, 10)
		rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			calls <- c.text
			return nil
		}, s.deduplicated(t))
		send(t, rt, spec, "one", async.WithMessageID("same"))
		next(t, calls, "the message")
		send(t, rt, spec, "the same again", async.WithMessageID("same"))
		send(t, rt, spec, "another", async.WithMessageID("another"))
		if got := next(t, calls, "the other message"); got != "another" {
			t.Errorf("%q was handled", got)
		}
		silent(t, calls, "it was handled twice")
	}},
	{"a message that failed is handled again", func(t *testing.T, s *stage) {
		spec, calls := s.command(), make(chan int, 10)
		rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			calls <- c.info.Attempt
			if c.info.Attempt == 1 {
				return errTrouble
			}
			return nil
		}, s.deduplicated(t))
		send(t, rt, spec, "twice")
		for want := 1; want <= 2; want++ {
			if got := next(t, calls, "an attempt"); got != want {
				t.Errorf("attempt %d is told as %d", want, got)
			}
		}
	}},
	{"a duplicate waits for the one that is being handled", func(t *testing.T, s *stage) {
		spec, calls, release := s.command(), make(chan string, 10), make(chan struct{})
		rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			calls <- c.text
			<-release
			return nil
		}, s.deduplicated(t))
		for range 2 {
			send(t, rt, spec, "same", async.WithMessageID("same"))
		}
		next(t, calls, "the message")
		silent(t, calls, "the duplicate did not wait")
		close(release)
		silent(t, calls, "it was handled twice")
	}},
}}

func (s *stage) deduplicated(t *testing.T) async.SubscribeOption {
	t.Helper()
	store, err := async.NewMemoryDedupStore(100)
	must(t, err)
	return async.WithInterceptors(async.Deduplicate(store, time.Hour))
}
