package async_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	async "github.com/asyncpb/async/runtime"
)

func TestWhatExpiresInABacklogIsCounted(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		const backlog = 40
		spec := moves(async.KindCommand, nil)
		rt := w.open(t)
		began, goOn := make(chan struct{}), make(chan struct{})
		var handled atomic.Int64
		onMoved(t, rt, spec, func(_ context.Context, order int64, _ int32) error {
			if handled.Add(1) == 1 {
				close(began)
				<-goOn
			}
			return nil
		}, async.WithConcurrency(1))
		run(t, rt)
		publish(t, rt, spec, 0, 1)
		<-began
		ttl := 200 * time.Millisecond
		for order := range int64(backlog) {
			publish(t, rt, spec, order+1, 1, async.WithTTL(ttl))
		}
		<-time.After(ttl)
		publish(t, rt, spec, 0, 2)
		close(goOn)
		eventually(t, "what has no time to live is handled", func() bool { return handled.Load() == 2 })
		if n := rt.Stats().Expired; n != backlog {
			t.Errorf("%d messages are counted as expired, want %d", n, backlog)
		}
	})
}

func TestWhatExpiresWhileItWaitsForItsNextAttemptIsCounted(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		spec := moves(async.KindCommand, retried(0, 3, time.Second))
		rt := w.open(t)
		var calls atomic.Int64
		onMoved(t, rt, spec, func(context.Context, int64, int32) error {
			calls.Add(1)
			return async.RetryAfter(2*time.Second, errBroken)
		})
		run(t, rt)
		publish(t, rt, spec, 1, 1, async.WithTTL(time.Second))
		eventually(t, "the message has expired", func() bool { return rt.Stats().Expired == 1 })
		if n := calls.Load(); n != 1 {
			t.Errorf("it was handled %d times, want once", n)
		}
		if s := rt.Stats(); s.DeadLettered+s.Dropped != 0 {
			t.Errorf("counted %+v", s)
		}
	})
}
