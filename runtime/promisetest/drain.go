package promisetest

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

var drains = part{name: "drain", tests: []test{
	{"handlers finish and what was not begun comes again uncounted", func(t *testing.T, s *stage) {
		spec, begun, release, done := s.command(), make(chan string, 10), make(chan struct{}), make(chan string, 10)
		rt, stop := s.handle(t, first, spec, func(ctx context.Context, c calling) error {
			begun <- c.text
			<-release
			if ctx.Err() == nil {
				done <- c.text
			}
			return ctx.Err()
		}, async.WithConcurrency(2))
		other := s.transport(t) // what has nowhere to go would end with its last user
		for i := range 5 {
			send(t, rt, spec, strconv.Itoa(i))
		}
		finished := map[string]bool{next(t, begun, "a message"): true, next(t, begun, "a message"): true}
		var stopping sync.WaitGroup
		stopping.Go(stop)
		eventually(t, "fetching has stopped", func() bool { return !rt.Health(t.Context()).Bindings[0].Consuming })
		close(release)
		stopping.Wait()
		if len(done) != 2 || len(begun) != 0 {
			t.Errorf("%d handlers have finished, and %d more were begun", len(done), len(begun))
		}
		if other.Capabilities().Redelivery == transport.None {
			return
		}
		s.comeBack(t, spec, 3, finished)
	}},
	{"what is not finished in time comes again uncounted", func(t *testing.T, s *stage) {
		spec, begun := s.command(), make(chan string, 10)
		rt := s.runtime(t, first, async.WithDrainTimeout(300*time.Millisecond))
		must(t, s.subscribe(rt, spec, func(ctx context.Context, c calling) error {
			begun <- c.text
			<-ctx.Done()
			return ctx.Err()
		}))
		stop := run(t, rt)
		send(t, rt, spec, "unfinished")
		next(t, begun, "the message")
		stop()
		if st := rt.Stats(); st.Retried+st.DeadLettered > 0 {
			t.Errorf("it was counted as a failure: %+v", st)
		}
		if s.can.Redelivery == transport.None {
			return
		}
		s.comeBack(t, spec, 1, nil)
	}},
}}

// comeBack waits for n messages that a runtime which has ended gave back.
func (s *stage) comeBack(t *testing.T, spec *async.Spec, n int, not map[string]bool) {
	t.Helper()
	again := make(chan calling, 10)
	s.handle(t, first, spec, func(_ context.Context, c calling) error {
		again <- c
		return nil
	})
	for range n {
		if c := next(t, again, "a message that was given back"); c.info.Attempt != 1 || not[c.text] {
			t.Errorf("message %q came back as attempt %d; handled before: %v", c.text, c.info.Attempt, not[c.text])
		}
	}
	silent(t, again, "more came back")
}

var pauses = part{name: "pause", tests: []test{
	{"a paused binding handles nothing until it is resumed", func(t *testing.T, s *stage) {
		spec, got := s.command(), make(chan string, 10)
		rt, _ := s.handle(t, first, spec, into(got))
		must(t, rt.Pause(spec.Name()))
		send(t, rt, spec, "waits")
		silent(t, got, "it was handled while paused")
		must(t, rt.Resume(spec.Name()))
		if text := next(t, got, "the message"); text != "waits" {
			t.Errorf("got %q", text)
		}
	}},
}}
