package async_test

import (
	"context"
	"fmt"
	goruntime "runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func TestAHandlerThatEndsItsGoroutineKeepsItsPlace(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]func(*async.Spec){
		"while a message of a key waits for its retry": func(s *async.Spec) {
			retried(0, 3, time.Minute)(s)
			byKey(s)
		},
		"while it is tried again at once": retried(2, 3, time.Minute),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory(t, func(t *testing.T, w *world) {
				spec := moves(async.KindCommand, setup)
				rt := w.open(t)
				var got []string
				var running atomic.Int32
				onMoved(t, rt, spec, func(ctx context.Context, _ int64, step int32) error {
					info, _ := async.InfoFrom(ctx)
					got = append(got, fmt.Sprintf("%d attempt %d", step, info.Attempt))
					if n := running.Add(1); n > 1 {
						t.Errorf("%d handlers run at once", n)
					}
					<-time.After(time.Second)
					running.Add(-1)
					if step == 1 && info.Attempt < 3 {
						goruntime.Goexit()
					}
					return nil
				}, async.WithConcurrency(1))
				run(t, rt)
				for step := range int32(3) {
					publish(t, rt, spec, 1, step+1)
				}
				elapse(time.Hour)
				want := []string{"1 attempt 1", "1 attempt 2", "1 attempt 3", "2 attempt 1", "3 attempt 1"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("handled (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Where a broker keeps the order, it does so with a handler that ends its goroutine too.
func TestTheOrderOfAKeyOutlastsTheEndOfAGoroutine(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		if w.caps.Order == transport.None {
			return
		}
		spec := moves(async.KindCommand, func(s *async.Spec) {
			retried(0, 3, 100*time.Millisecond)(s)
			byKey(s)
		})
		rt := w.open(t)
		handled := make(chan string, 10)
		onMoved(t, rt, spec, func(ctx context.Context, _ int64, step int32) error {
			info, _ := async.InfoFrom(ctx)
			handled <- fmt.Sprintf("%d attempt %d", step, info.Attempt)
			if info.Attempt == 1 {
				goruntime.Goexit()
			}
			return nil
		}, async.WithConcurrency(2))
		run(t, rt)
		for step := range int32(3) {
			publish(t, rt, spec, 1, step+1)
		}
		for _, want := range []string{"1 attempt 1", "1 attempt 2", "2 attempt 1", "2 attempt 2", "3 attempt 1", "3 attempt 2"} {
			if got := next(t, handled); got != want {
				t.Errorf("got %s in place of %s", got, want)
			}
		}
	})
}
