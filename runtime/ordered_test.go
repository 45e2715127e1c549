package async_test

import (
	"context"
	"strings"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func byKey(s *async.Spec) { s.Policy.Ordering = async.OrderingByKey }

func TestABatchIsRefusedWhereOrderIsPromised(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		err := async.NewSubscriber[*ordersv1.OrderMoved](w.open(t), moves(async.KindCommand, byKey)).OnBatch(
			func(context.Context, []*async.Delivery[*ordersv1.OrderMoved]) error { return nil })
		wantErr(t, err, async.ErrUnsupported)
		if w.caps.Order != transport.None && !strings.Contains(err.Error(), "use On") {
			t.Errorf("the error does not say what to do: %v", err)
		}
	})
}

func TestAPauseKeepsTheOrderOfAKey(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		if w.caps.Order == transport.None {
			return
		}
		spec := moves(async.KindCommand, byKey)
		rt := w.open(t)
		begun, release, done := make(chan struct{}, 1), make(chan struct{}), make(chan int32, 100)
		onMoved(t, rt, spec, func(_ context.Context, _ int64, step int32) error {
			if step == 1 {
				begun <- struct{}{}
				<-release
			}
			done <- step
			return nil
		}, async.WithConcurrency(4))
		run(t, rt)
		const count = 12
		for step := range int32(count) {
			publish(t, rt, spec, 1, step+1)
		}
		next(t, begun)
		must(t, rt.Pause(spec.Name()))
		must(t, rt.Resume(spec.Name()))
		select {
		case step := <-done:
			t.Errorf("%d was handled while 1 was in the hands of its handler", step)
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		for want := int32(1); want <= count; want++ {
			if step := next(t, done); step != want {
				t.Errorf("%d was handled in place of %d", step, want)
			}
		}
	})
}

func TestAPulledMessageOfAKeyIsHeldUntilItsNextAttempt(t *testing.T) {
	t.Parallel()
	inMemory(t, func(t *testing.T, w *world) {
		spec := moves(async.KindCommand, func(s *async.Spec) {
			retried(0, 100, 15*time.Minute)(s)
			s.Policy.Retry.MaxBackoff = new(15 * time.Minute)
			byKey(s)
		})
		rt := w.open(t)
		publish(t, rt, spec, 1, 1)
		publish(t, rt, spec, 1, 2)
		sub := async.NewSubscriber[*ordersv1.OrderMoved](rt, spec)
		start := time.Now()
		for _, want := range []struct {
			step    int32
			attempt int
			at      time.Duration
		}{{1, 1, 0}, {1, 2, 15 * time.Minute}, {1, 3, 20 * time.Minute}, {2, 1, 20 * time.Minute}} {
			d, err := sub.Receive(t.Context())
			must(t, err)
			if d.Msg.GetStep() != want.step || d.Info().Attempt != want.attempt || time.Since(start) != want.at {
				t.Errorf("got step %d, attempt %d after %s; want %+v", d.Msg.GetStep(), d.Info().Attempt, time.Since(start), want)
			}
			must(t, d.Settle(t.Context(), map[int32]error{1: errBroken}[want.step]))
		}
		if dead := w.deadLetters(t, spec.Topic, "movers", 1)[0]; dead["async-dead-reason"] != "retry-time" {
			t.Errorf("dead letter %v", dead)
		}
	})
}
