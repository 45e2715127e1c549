package promisetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

var batches = part{name: "batches", tests: []test{
	{"each entry of a batch has its own verdict", func(t *testing.T, s *stage) {
		const most = 4
		spec, good := s.command(), make(chan string, 20)
		rt := s.runtime(t, first)
		must(t, async.NewSubscriber[*wrapperspb.StringValue](rt, spec).OnBatch(func(ctx context.Context, batch []*async.Delivery[*wrapperspb.StringValue]) error {
			if len(batch) < 1 || len(batch) > most {
				t.Errorf("a batch of %d", len(batch))
			}
			for _, d := range batch {
				var verdict error
				switch text := d.Msg.GetValue(); {
				case text == "bad":
					verdict = async.Reject(errTrouble)
				case text == "shy" && d.Info().Attempt == 1:
					verdict = errTrouble
				default:
					good <- text
				}
				if err := d.Settle(ctx, verdict); err != nil {
					t.Errorf("settle %q: %v", d.Msg.GetValue(), err)
				}
			}
			return nil
		}, async.WithBatch(most, 50*time.Millisecond)))
		stop := run(t, rt)
		var texts []*wrapperspb.StringValue
		for _, text := range []string{"1", "bad", "2", "shy", "3"} {
			texts = append(texts, wrapperspb.String(text))
		}
		must(t, async.NewPublisher[*wrapperspb.StringValue](rt, spec).SendBatch(t.Context(), texts))
		seen := make(map[string]int)
		for range 4 {
			seen[next(t, good, "an entry")]++
		}
		if fmt.Sprint(seen) != "map[1:1 2:1 3:1 shy:1]" {
			t.Errorf("handled %v", seen)
		}
		eventually(t, "the bad one is given up", func() bool { st := rt.Stats(); return st.DeadLettered+st.Dropped == 1 })
		stop()
		if s.can.DeadLetter != transport.None {
			if reason := s.dead(t, spec, 1)[0].Metadata[transport.MetaDeadReason]; reason != "rejected" {
				t.Errorf("the bad one is kept for the reason %q", reason)
			}
		}
	}},
	{"a drain waits for a handler that has settled everything", func(t *testing.T, s *stage) {
		spec, settled, release, ended := s.command(), make(chan struct{}), make(chan struct{}), make(chan error, 1)
		rt := s.runtime(t, first)
		must(t, async.NewSubscriber[*wrapperspb.StringValue](rt, spec).OnBatch(func(ctx context.Context, batch []*async.Delivery[*wrapperspb.StringValue]) error {
			for _, d := range batch {
				if err := d.Settle(ctx, nil); err != nil {
					t.Errorf("settle: %v", err)
				}
			}
			close(settled)
			<-release
			ended <- ctx.Err()
			return nil
		}, async.WithBatch(1, time.Millisecond)))
		stop := run(t, rt)
		send(t, rt, spec, "settled early")
		next(t, settled, "the settlement")
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stop()
		}()
		silent(t, stopped, "the drain did not wait for the handler")
		close(release)
		if err := next(t, ended, "the end of the handler"); err != nil {
			t.Errorf("the handler's context had ended: %v", err)
		}
		next(t, stopped, "the end of the drain")
	}},
}}
