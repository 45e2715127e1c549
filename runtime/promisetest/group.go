package promisetest

import (
	"context"
	"strconv"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

var groups = part{
	name: "groups", claimed: func(c transport.Capabilities) bool { return c.Groups != transport.None },
	refused: func(t *testing.T, s *stage) {
		unsupported(t, "a command", s.subscribe(s.runtime(t, first), s.command(), nothing))
	},
	tests: []test{
		{"every application gets every event", func(t *testing.T, s *stage) {
			spec, one, two := s.event(), make(chan string, 10), make(chan string, 10)
			rt, _ := s.handle(t, first, spec, into(one))
			s.handle(t, second, spec, into(two))
			for i := range 3 {
				send(t, rt, spec, strconv.Itoa(i))
			}
			for range 3 {
				next(t, one, "an event, in the first application")
				next(t, two, "an event, in the second application")
			}
			silent(t, one, "an event came twice")
			silent(t, two, "an event came twice")
		}},
		{"the processes of a group share its commands", func(t *testing.T, s *stage) {
			spec, got := s.command(), make(chan string, 100)
			rt, _ := s.handle(t, first, spec, into(got))
			s.handle(t, first, spec, into(got))
			seen := make(map[string]bool)
			for i := range 20 {
				send(t, rt, spec, strconv.Itoa(i))
			}
			for range 20 {
				text := next(t, got, "a command")
				if seen[text] {
					t.Errorf("%s came twice", text)
				}
				seen[text] = true
			}
			silent(t, got, "a command came twice")
		}},
	},
}

// into is a handler that tells what it gets.
func into(got chan<- string) handlerFunc {
	return func(_ context.Context, c calling) error {
		got <- c.text
		return nil
	}
}
