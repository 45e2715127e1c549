package promisetest

import (
	"context"
	"errors"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

var errTrouble = errors.New("trouble")

var verdicts = part{name: "verdicts", tests: []test{
	{"nil is the end of a message", func(t *testing.T, s *stage) {
		s.ends(t, func(context.Context, calling) error { return nil }, "")
	}},
	{"a message that is dropped leaves nothing", func(t *testing.T, s *stage) {
		s.ends(t, func(context.Context, calling) error { return async.Drop("not for us") }, "")
	}},
	{"a message that is rejected is kept at once", func(t *testing.T, s *stage) {
		s.ends(t, func(context.Context, calling) error { return async.Reject(errTrouble) }, "rejected")
	}},
	{"an error is another attempt", func(t *testing.T, s *stage) {
		s.comesAgain(t, 0, func(context.Context) error { return errTrouble })
	}},
	{"a handler chooses when a message comes again", func(t *testing.T, s *stage) {
		s.comesAgain(t, 1200*time.Millisecond, func(context.Context) error { return async.RetryAfter(1200*time.Millisecond, errTrouble) })
	}},
	{"a panic is an error", func(t *testing.T, s *stage) {
		s.comesAgain(t, 0, func(context.Context) error { panic("deep inside") })
	}},
	{"a handler that ends its goroutine has failed", func(t *testing.T, s *stage) {
		s.comesAgain(t, 0, func(context.Context) error {
			goruntime.Goexit()
			return nil
		})
	}},
}}

// ends sends a message that is handled once, and then kept for a reason, or nowhere.
func (s *stage) ends(t *testing.T, h handlerFunc, reason string) {
	t.Helper()
	spec, calls := s.command(), make(chan calling, 10)
	rt, stop := s.handle(t, first, spec, func(ctx context.Context, c calling) error {
		calls <- c
		return h(ctx, c)
	})
	send(t, rt, spec, "once")
	if c := next(t, calls, "the message"); c.text != "once" || c.info.Attempt != 1 {
		t.Errorf("handled as %+v", c)
	}
	silent(t, calls, "it was handled again")
	stop()
	switch {
	case reason == "" && rt.Stats().DeadLettered > 0:
		t.Error("it was kept")
	case reason != "" && s.can.DeadLetter != transport.None:
		if got := s.dead(t, spec, 1)[0].Metadata[transport.MetaDeadReason]; got != reason {
			t.Errorf("kept for the reason %q, want %q", got, reason)
		}
	}
}

// comesAgain sends a message whose first attempt fails, and looks at the second.
func (s *stage) comesAgain(t *testing.T, after time.Duration, fail func(context.Context) error) {
	t.Helper()
	spec, calls := s.command(), make(chan calling, 10)
	var failed time.Time
	rt, _ := s.handle(t, first, spec, func(ctx context.Context, c calling) error {
		if c.info.Attempt > 1 {
			calls <- c
			return nil
		}
		failed = time.Now()
		calls <- c
		return fail(ctx)
	})
	send(t, rt, spec, "twice")
	one, two := next(t, calls, "the first attempt"), next(t, calls, "the second attempt")
	if two.info.ID != one.info.ID || two.text != one.text || two.info.Attempt != 2 {
		t.Errorf("the second attempt has %+v, the first had %+v", two.info, one.info)
	}
	if waited := time.Since(failed); waited < after {
		t.Errorf("it came after %v, want %v", waited, after)
	}
	silent(t, calls, "it was handled a third time")
}

// withoutStacks fails when a header tells more of a failure than its text.
func withoutStacks(t *testing.T, letter *message.Message) {
	t.Helper()
	for name, value := range letter.Metadata {
		if strings.Contains(value, ".go:") || strings.Contains(value, "goroutine ") {
			t.Errorf("the header %s has a stack: %q", name, value)
		}
	}
	if text := letter.Metadata[transport.MetaDeadError]; len(text) > 256 || strings.ContainsAny(text, "\r\n") {
		t.Errorf("the error's text is %q, want at most 256 bytes on one line", text)
	}
}
