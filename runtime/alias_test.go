package async_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// collect handles spec and tells what came.
func collect(t *testing.T, rt *async.Runtime, spec *async.Spec, opts ...async.SubscribeOption) <-chan string {
	t.Helper()
	got := make(chan string, 100)
	onMoved(t, rt, spec, func(ctx context.Context, order int64, step int32) error {
		info, _ := async.InfoFrom(ctx)
		got <- fmt.Sprint(order, "/", step, " ", info.Group)
		return nil
	}, opts...)
	return got
}

func wantAll(t *testing.T, got <-chan string, want ...string) {
	t.Helper()
	var have []string
	for range want {
		have = append(have, next(t, got))
	}
	if diff := cmp.Diff(want, have, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

func TestARenamedGroupTakesOverItsOldQueue(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		if w.caps.StandingGroups == transport.None {
			return // no queue is there without its consumer
		}
		for name, kind := range map[string]async.Kind{"of a command": async.KindCommand, "of an event": async.KindEvent} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, w.name)
				old := moves(kind, func(s *async.Spec) {
					if kind == async.KindCommand {
						s.Group = "before"
					}
				})
				renamed := moves(kind, func(s *async.Spec) { s.GroupAliases = []string{"before", "never"} })
				var oldGroup, newGroup []async.SubscribeOption
				group := "movers"
				if kind == async.KindEvent {
					oldGroup, newGroup = []async.SubscribeOption{async.WithGroup("before")}, []async.SubscribeOption{async.WithGroup(group)}
				}
				first := w.open(t)
				got := collect(t, first, old, oldGroup...)
				stop := run(t, first)
				publish(t, first, old, 1, 0)
				wantAll(t, got, "1/0 before")
				stop()
				// What waits for the old group is handled by the new one.
				publish(t, first, old, 1, 1)
				publish(t, first, old, 1, 2)
				must(t, first.Close())
				second := w.open(t)
				got = collect(t, second, renamed, newGroup...)
				stop = run(t, second)
				wantAll(t, got, "1/1 "+group, "1/2 "+group)
				// And nothing goes to the old queue any more: it would be handled twice.
				for step := int32(3); step < 6; step++ {
					publish(t, second, renamed, 1, step)
				}
				wantAll(t, got, "1/3 "+group, "1/4 "+group, "1/5 "+group)
				stop()
				if len(got) > 0 {
					t.Errorf("%s was handled as well", <-got)
				}
			})
		}
	})
}

func TestWhatFailsInAnOldQueueIsRetriedAndKeptInTheNewOne(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		if w.caps.StandingGroups == transport.None {
			return
		}
		old := moves(async.KindCommand, func(s *async.Spec) { s.Group = "before" })
		publish(t, w.open(t), old, 1, 1)
		rt := w.open(t)
		renamed := moves(async.KindCommand, func(s *async.Spec) {
			s.GroupAliases = []string{"before"}
			retried(0, 3, 1)(s)
		})
		attempts := make(chan int, 10)
		onMoved(t, rt, renamed, func(ctx context.Context, _ int64, _ int32) error {
			info, _ := async.InfoFrom(ctx)
			attempts <- info.Attempt
			return errBroken
		})
		run(t, rt)
		for want := 1; want <= 3; want++ {
			if n := next(t, attempts); n != want {
				t.Errorf("attempt %d, want %d", n, want)
			}
		}
		if dead := w.deadLetters(t, renamed.Topic, "movers", 1)[0]; dead["async-dead-group"] != "movers" {
			t.Errorf("dead letter %v", dead)
		}
	})
}

func TestARenamedTopicIsConsumedUnderBothNames(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		before := moves(async.KindEvent, func(s *async.Spec) { s.Topic = "acme.test.v1.Before" })
		now := moves(async.KindEvent, func(s *async.Spec) { s.Aliases = []string{before.Topic} })
		rt := w.open(t)
		got := collect(t, rt, now)
		run(t, rt)
		sender := w.open(t)
		publish(t, sender, before, 1, 1)
		publish(t, sender, now, 1, 2)
		wantAll(t, got, "1/1 app", "1/2 app")
	})
}

func TestARenamedTypeIsTakenUnderBothNames(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		before := moves(async.KindEvent, func(s *async.Spec) { s.Type = "acme.Before" })
		now := moves(async.KindEvent, func(s *async.Spec) { s.TypeAliases = []string{before.Type} })
		foreign := moves(async.KindEvent, func(s *async.Spec) { s.Type = "acme.Foreign" })
		rt := w.open(t)
		got := collect(t, rt, now)
		run(t, rt)
		for step, spec := range []*async.Spec{before, now, foreign} {
			publish(t, w.open(t), spec, 1, int32(step))
		}
		wantAll(t, got, "1/0 app", "1/1 app")
		eventually(t, "the foreign type is a dead letter", func() bool { return rt.Stats().DeadLettered == 1 })
		if len(got) > 0 {
			t.Errorf("%s was handled as well", <-got)
		}
	})
}
