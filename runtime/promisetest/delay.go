package promisetest

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func delaying(c transport.Capabilities) bool { return c.Delay != transport.None }

var delays = part{
	name: "delays", claimed: delaying,
	refused: func(t *testing.T, s *stage) {
		rt := s.runtime(t, first)
		p := async.NewPublisher[*wrapperspb.StringValue](rt, s.event())
		unsupported(t, "WithDelay", p.Send(t.Context(), wrapperspb.String("later"), async.WithDelay(time.Second)))
		unsupported(t, "WithDeliverAt", p.Send(t.Context(), wrapperspb.String("later"), async.WithDeliverAt(time.Now().Add(time.Minute))))
	},
	tests: []test{
		{"a delayed message is never early", func(t *testing.T, s *stage) {
			spec, at := s.command(), make(chan time.Time, 10)
			rt, _ := s.handle(t, first, spec, func(context.Context, calling) error {
				at <- time.Now()
				return nil
			})
			began := time.Now()
			const delay = 1100 * time.Millisecond
			send(t, rt, spec, "later", async.WithDelay(delay))
			if waited := next(t, at, "the delayed message").Sub(began); waited < delay {
				t.Errorf("it came after %v, want %v", waited, delay)
			}
			silent(t, at, "it came twice")
		}},
		{"a long delay holds no short one back", func(t *testing.T, s *stage) {
			spec, got := s.command(), make(chan string, 10)
			rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
				got <- c.text
				return nil
			})
			send(t, rt, spec, "in a week", async.WithDelay(7*24*time.Hour))
			send(t, rt, spec, "soon", async.WithDeliverAt(time.Now().Add(500*time.Millisecond)))
			if text := next(t, got, "the one that is due soon"); text != "soon" {
				t.Errorf("got %q", text)
			}
		}},
	},
}

var lifetimes = part{name: "time to live", tests: []test{
	{"what has expired is not handled", func(t *testing.T, s *stage) {
		spec, got := s.command(), make(chan string, 10)
		held, release := make(chan struct{}), make(chan struct{})
		rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			if c.text == "slow" {
				close(held)
				<-release
			}
			got <- c.text
			return nil
		}, async.WithConcurrency(1))
		send(t, rt, spec, "slow")
		next(t, held, "the slow message")
		send(t, rt, spec, "too late", async.WithTTL(50*time.Millisecond))
		send(t, rt, spec, "in time", async.WithTTL(time.Hour))
		<-time.After(100 * time.Millisecond)
		close(release)
		for _, want := range []string{"slow", "in time"} {
			if text := next(t, got, want); text != want {
				t.Errorf("%q was handled, want %q", text, want)
			}
		}
		eventually(t, "the expired one is counted", func() bool { return rt.Stats().Expired == 1 })
	}},
}}
