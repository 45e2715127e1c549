package async_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func TestALostDeliveryEndsItsHandlerAndIsNoAttempt(t *testing.T) {
	t.Parallel()
	for name, verdict := range map[string]error{"that fails": errBroken, "that succeeds": nil, "that rejects": async.Reject(errBroken)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := newWorld(t, "amqp"), newProxy(t)
			causes, attempts := make(chan error, 10), make(chan int, 10)
			direct := *w
			w.url = strings.Replace(w.url, hostOf(t, w.url), p.address(), 1)
			var calls atomic.Int32
			rt := w.handleShip(t, func(ctx context.Context, _ string) error {
				info, _ := async.InfoFrom(ctx)
				attempts <- info.Attempt
				if calls.Add(1) > 1 {
					return nil
				}
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return verdict
			})
			must(t, ordersv1async.NewOrdersPublisher(direct.open(t)).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
			if n := next(t, attempts); n != 1 {
				t.Errorf("attempt %d", n)
			}
			p.cut()
			wantErr(t, next(t, causes), async.ErrDeliveryLost)
			if n := next(t, attempts); n != 1 {
				t.Errorf("it came back as attempt %d", n)
			}
			eventually(t, "the connection is back", func() bool { return rt.Health(t.Context()).Err() == nil })
			if s := rt.Stats(); s.Retried+s.DeadLettered+s.Dropped != 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

func hostOf(t *testing.T, url string) string {
	t.Helper()
	c, err := transport.ParseURL(url)
	must(t, err)
	return c.URL.Host
}

func TestALostDeliveryIsTheAnswerOfItsSettle(t *testing.T) {
	t.Parallel()
	w, p := newWorld(t, "amqp"), newProxy(t)
	w.url = strings.Replace(w.url, hostOf(t, w.url), p.address(), 1)
	rt := w.open(t)
	must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "1"}))
	sub := ordersv1async.NewOrdersSubscriber(rt)
	d, err := sub.ReceiveShip(t.Context())
	must(t, err)
	p.cut()
	<-d.Context().Done()
	wantErr(t, context.Cause(d.Context()), async.ErrDeliveryLost)
	wantErr(t, d.Settle(t.Context(), nil), async.ErrDeliveryLost)
	d, err = sub.ReceiveShip(t.Context())
	must(t, err)
	if d.Info().Attempt != 1 {
		t.Errorf("it came back as attempt %d", d.Info().Attempt)
	}
	must(t, d.Settle(t.Context(), nil))
}

func TestACancellationThatComesFromTheShutdownIsNoAttempt(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		for name, verdict := range map[string]func(ctx context.Context) error{
			"the context's error": func(ctx context.Context) error { return fmt.Errorf("query: %w", ctx.Err()) },
			"the context's cause": context.Cause,
			"a code that stands for it": func(context.Context) error {
				return async.NewError(async.CodeCanceled, "the database call was cancelled")
			},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, w.name)
				rt := w.open(t, async.WithDrainTimeout(100*time.Millisecond))
				begun := make(chan struct{}, 1)
				must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error {
					begun <- struct{}{}
					<-ctx.Done()
					return verdict(ctx)
				}))
				stop := run(t, rt)
				must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}))
				next(t, begun)
				stop()
				if s := rt.Stats(); s.Retried+s.DeadLettered != 0 {
					t.Errorf("counted %+v", s)
				}
				if w.caps.Redelivery == transport.None {
					return
				}
				w.comesBackUncounted(t, 1)
			})
		}
	})
}

func TestAHandlerThatIsCancelledByItsOwnContextWhileDrainingIsNoAttempt(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		for name, drains := range map[string]bool{
			"as soon as Run's context ends": false,
			"in the middle of the drain":    true,
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, w.name)
				spec := moves(async.KindCommand, retried(0, 1, time.Second))
				rt := w.open(t)
				begun, cancelled := make(chan struct{}, 1), make(chan struct{})
				program, terminate := context.WithCancel(context.Background())
				defer terminate()
				onMoved(t, rt, spec, func(context.Context, int64, int32) error {
					begun <- struct{}{}
					<-program.Done()
					if drains {
						<-cancelled
					}
					return fmt.Errorf("query: %w", program.Err())
				})
				stop := runIn(program, t, rt)
				publish(t, rt, spec, 1, 1)
				next(t, begun)
				terminate()
				if drains {
					eventually(t, "the drain has begun", func() bool { return !rt.Health(t.Context()).Bindings[0].Consuming })
					close(cancelled)
				}
				stop()
				if s := rt.Stats(); s.Retried+s.DeadLettered != 0 {
					t.Fatalf("counted %+v", s)
				}
				if w.caps.Redelivery == transport.None {
					return
				}
				again, attempts := w.open(t), make(chan int, 1)
				onMoved(t, again, spec, func(ctx context.Context, _ int64, _ int32) error {
					info, _ := async.InfoFrom(ctx)
					attempts <- info.Attempt
					return nil
				})
				run(t, again)
				if attempt := next(t, attempts); attempt != 1 {
					t.Errorf("it came back as attempt %d", attempt)
				}
			})
		}
	})
}

// comesBackUncounted runs another runtime, to which n messages of Ship come that no attempt was counted for.
func (w *world) comesBackUncounted(t *testing.T, n int) {
	t.Helper()
	attempts := make(chan int, n)
	w.handleShip(t, func(ctx context.Context, _ string) error {
		info, _ := async.InfoFrom(ctx)
		attempts <- info.Attempt
		return nil
	})
	for range n {
		if attempt := next(t, attempts); attempt != 1 {
			t.Errorf("it came back as attempt %d", attempt)
		}
	}
}

func TestACancellationBeforeTheShutdownIsAnAttempt(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.handleShip(t, func(context.Context, string) error { return context.Canceled })
		must(t, ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{}))
		eventually(t, "it is a dead letter", func() bool { return rt.Stats().DeadLettered == 1 })
	})
}

func TestAHandlerThatPanicsOrEndsItsGoroutineFails(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		for name, fail := range map[string]func(){
			"a panic":            func() { panic(errors.New("deep inside")) },
			"a runtime error":    func() { _ = []int{}[len(w.namespace)] },
			"the goroutine ends": goruntime.Goexit,
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, w.name)
				var logged lockedBuffer
				var calls atomic.Int32
				rt := w.handleShip(t, func(context.Context, string) error {
					calls.Add(1)
					fail()
					return nil
				}, async.WithLogger(slog.New(slog.NewJSONHandler(&logged, nil))), async.WithConcurrency(1))
				orders := ordersv1async.NewOrdersPublisher(rt)
				for range 2 {
					must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{}))
				}
				eventually(t, "both are dead letters", func() bool { return rt.Stats().DeadLettered == 2 })
				if calls.Load() != 6 {
					t.Errorf("%d calls of two messages with three attempts", calls.Load())
				}
				if n := strings.Count(logged.String(), "loss_test.go"); n < 6 {
					t.Errorf("%d of 6 stacks are in the log", n)
				}
				if !w.keepsDeadLetters() {
					return
				}
				for _, dead := range w.deadLetters(t, ordersv1async.OrdersShipTopic, "orders", 2) {
					for k, v := range dead {
						if strings.Contains(v, "_test.go") || strings.Contains(v, "goroutine ") {
							t.Errorf("a stack is in %s: %q", k, v)
						}
					}
					if dead["async-dead-reason"] != "max-attempts" || dead["async-attempt"] != "3" {
						t.Errorf("dead letter %v", dead)
					}
				}
			})
		}
	})
}

func TestABatchHandlerThatEndsItsGoroutineFails(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		var logged lockedBuffer
		var calls atomic.Int32
		rt := w.open(t, async.WithLogger(slog.New(slog.NewJSONHandler(&logged, nil))))
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShipBatch(func(context.Context, []*async.Delivery[*ordersv1.ShipRequest]) error {
			calls.Add(1)
			goruntime.Goexit()
			return nil
		}, async.WithBatch(2, 10*time.Millisecond)))
		run(t, rt)
		orders := ordersv1async.NewOrdersPublisher(rt)
		for range 4 {
			must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{}))
		}
		eventually(t, "all are dead letters", func() bool { return rt.Stats().DeadLettered == 4 })
		if n := strings.Count(logged.String(), "loss_test.go"); n < int(calls.Load()) {
			t.Errorf("%d of %d stacks are in the log", n, calls.Load())
		}
	})
}
