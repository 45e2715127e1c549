package async_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// inMemory runs f on memory and on synctest's clock, where delays are exact.
func inMemory(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t, "memory")) })
}

var errBroken = errors.New("broken")

// elapse lets d pass on synctest's clock, and everything happen that belongs to that time.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestTheTimesOfAttempts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		immediate, attempts uint32
		minBackoff          time.Duration
		ordered             bool
		first               int           // attempt that the message comes with
		takes               time.Duration // by the handler
		verdict             func(attempt int) error
		want                []string // attempt@time
		reason              string
	}{
		"the delay grows with each attempt": {
			attempts: 4, minBackoff: time.Second,
			want: []string{"1@0s", "2@1s", "3@3s", "4@7s"}, reason: "max-attempts",
		},
		"one attempt is no retry": {attempts: 1, immediate: 5, want: []string{"1@0s"}, reason: "max-attempts"},
		"immediate tries come first and count": {
			immediate: 2, attempts: 5, minBackoff: time.Second,
			want: []string{"1@0s", "2@0s", "3@0s", "4@4s", "5@12s"}, reason: "max-attempts",
		},
		"immediate tries end after five seconds": {
			immediate: 100, attempts: 5, minBackoff: time.Hour, takes: 2 * time.Second,
			want: []string{"1@0s", "2@2s", "3@4s", "4@6s", "5@5m8s"}, reason: "max-attempts",
		},
		"after a crash the count goes on from what the message says": {
			immediate: 2, attempts: 4, minBackoff: time.Second, first: 2,
			want: []string{"2@0s", "3@0s", "4@4s"}, reason: "max-attempts",
		},
		"immediate tries are not begun anew": {
			immediate: 2, attempts: 4, minBackoff: time.Second, first: 3,
			want: []string{"3@0s", "4@4s"}, reason: "max-attempts",
		},
		"the handler may ask for a later time": {
			immediate: 2, attempts: 2, minBackoff: time.Second,
			verdict: func(int) error { return async.RetryAfter(time.Hour, errBroken) },
			want:    []string{"1@0s", "2@1h0m0s"}, reason: "max-attempts",
		},
		"a time beyond the limit of delays is cut to it": {
			attempts: 2, minBackoff: time.Second,
			verdict: func(int) error { return async.RetryAfter(1000*time.Hour, errBroken) },
			want:    []string{"1@0s", "2@168h0m0s"}, reason: "max-attempts",
		},
		"a lane is held for twenty minutes": {
			attempts: 100, minBackoff: 5 * time.Minute, ordered: true,
			want: []string{"1@0s", "2@5m0s", "3@10m0s", "4@15m0s", "5@20m0s"}, reason: "retry-time",
		},
		"a lane is not held for a handler that asks for more": {
			attempts: 100, minBackoff: time.Second, ordered: true,
			verdict: func(int) error { return async.RetryAfter(time.Hour, errBroken) },
			want:    []string{"1@0s", "2@20m0s"}, reason: "retry-time",
		},
		"a lane tries at once too": {
			immediate: 1, attempts: 3, minBackoff: time.Second, ordered: true,
			want: []string{"1@0s", "2@0s", "3@2s"}, reason: "max-attempts",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory(t, func(t *testing.T, w *world) {
				spec := moves(async.KindCommand, retried(c.immediate, c.attempts, c.minBackoff))
				if c.minBackoff > 0 {
					spec.Policy.Retry.MaxBackoff = new(5 * time.Minute)
				}
				if c.ordered {
					spec.Policy.Ordering = async.OrderingByKey
				}
				rt := w.open(t)
				var got []string
				start := time.Now()
				onMoved(t, rt, spec, func(ctx context.Context, _ int64, _ int32) error {
					info, _ := async.InfoFrom(ctx)
					got = append(got, fmt.Sprint(info.Attempt, "@", time.Since(start)))
					<-time.After(c.takes)
					if c.verdict != nil {
						return c.verdict(info.Attempt)
					}
					return errBroken
				})
				run(t, rt)
				md := map[string]string{"ce-id": "1", "ce-type": spec.Type, "ce-partitionkey": "1"}
				if c.first > 0 {
					md["async-attempt"] = strconv.Itoa(c.first)
				}
				w.inject(t, transport.Publication{Topic: w.topic(spec.Topic), RoutingKey: spec.Type, Key: "1"}, "1", nil, md)
				elapse(1000 * time.Hour)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("attempts (-want +got):\n%s", diff)
				}
				dead := w.deadLetters(t, spec.Topic, "movers", 1)[0]
				if dead["async-dead-reason"] != c.reason || rt.Stats().DeadLettered != 1 {
					t.Errorf("the reason is %q, counted %+v", dead["async-dead-reason"], rt.Stats())
				}
			})
		})
	}
}

func TestDelaysHaveFullJitter(t *testing.T) {
	t.Parallel()
	inMemory(t, func(t *testing.T, w *world) {
		const count, backoff = 300, 10 * time.Second
		spec := moves(async.KindCommand, func(s *async.Spec) { s.Policy.Retry.MinBackoff = new(backoff) })
		rt := w.open(t)
		var buckets [10]int
		start := time.Now()
		onMoved(t, rt, spec, func(ctx context.Context, _ int64, _ int32) error {
			info, _ := async.InfoFrom(ctx)
			if info.Attempt == 1 {
				return errBroken
			}
			buckets[min(time.Since(start)*10/backoff, 9)]++
			if late := time.Since(start) - backoff; late > 0 {
				t.Errorf("an attempt came %s after the longest delay", late)
			}
			return nil
		}, async.WithConcurrency(1))
		run(t, rt)
		for range count {
			publish(t, rt, spec, 1, 1)
		}
		elapse(time.Minute)
		for i, n := range buckets {
			// 30 are expected in each; fewer than 5 in one has a chance below 1e-7.
			if n < 5 {
				t.Errorf("%d attempts in the %d. tenth of the time", n, i+1)
			}
		}
	})
}

func TestAFailingMessageDoesNotHoldUpGoodOnes(t *testing.T) {
	t.Parallel()
	inMemory(t, func(t *testing.T, w *world) {
		spec := moves(async.KindCommand, retried(0, 100, time.Minute))
		rt := w.open(t)
		good := 0
		onMoved(t, rt, spec, func(_ context.Context, order int64, _ int32) error {
			if order < 200 {
				return errBroken
			}
			good++
			return nil
		}, async.WithConcurrency(1))
		run(t, rt)
		for order := range int64(400) {
			publish(t, rt, spec, order, 0)
		}
		elapse(time.Second)
		if good != 200 {
			t.Errorf("%d of 200 good messages were handled while as many wait for their next attempt", good)
		}
	})
}

// openTampered opens a runtime on a memory transport that refuses what refuse says.
func openTampered(t *testing.T, w *world, refuse func(p transport.Publication) error) (rt *async.Runtime, m *tampered) {
	t.Helper()
	m = &tampered{Transport: memorytransport.New(), refuse: func(p transport.Publication, _ *message.Message) error { return refuse(p) }}
	w.shared = m
	return w.open(t), m
}

func TestWhatTheBrokerDoesNotTakeIsHeldAndNotHandledAgain(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]func(p transport.Publication) bool{
		"a dead letter": func(p transport.Publication) bool { return p.Direct },
		"a retry":       func(p transport.Publication) bool { return p.Group != "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory(t, func(t *testing.T, w *world) {
				const down = 10 * time.Minute
				start := time.Now()
				var tries []time.Duration
				rt, _ := openTampered(t, w, func(p transport.Publication) error {
					if !refused(p) {
						return nil
					}
					tries = append(tries, time.Since(start))
					if time.Since(start) < down {
						return transport.ErrNacked
					}
					return nil
				})
				spec := moves(async.KindCommand, retried(0, 2, time.Second))
				var calls atomic.Int32
				onMoved(t, rt, spec, func(context.Context, int64, int32) error { calls.Add(1); return errBroken })
				run(t, rt)
				publish(t, rt, spec, 1, 1)
				elapse(2 * down)
				if calls.Load() != 2 || rt.Stats().DeadLettered != 1 {
					t.Errorf("%d handler calls, counted %+v", calls.Load(), rt.Stats())
				}
				for i := 1; i < len(tries); i++ {
					if pause := tries[i] - tries[i-1]; pause < time.Second || pause > 2*time.Second {
						t.Errorf("it was stored again after %s", pause)
					}
				}
				if n := len(tries); n < 300 {
					t.Errorf("it was stored %d times in %s", n, down)
				}
			})
		})
	}
}

func TestAnOutageOfDeadLettersThatLastsGivesTheMessageBack(t *testing.T) {
	t.Parallel()
	inMemory(t, func(t *testing.T, w *world) {
		rt, _ := openTampered(t, w, func(p transport.Publication) error {
			if p.Direct {
				return transport.ErrNacked
			}
			return nil
		})
		spec := moves(async.KindCommand, retried(0, 1, time.Second))
		var calls atomic.Int32
		onMoved(t, rt, spec, func(context.Context, int64, int32) error { calls.Add(1); return errBroken })
		run(t, rt)
		publish(t, rt, spec, 1, 1)
		elapse(20*time.Minute - time.Second)
		if calls.Load() != 1 {
			t.Errorf("%d calls in 20 minutes", calls.Load())
		}
		elapse(time.Hour)
		if n := calls.Load(); n != 4 {
			t.Errorf("%d calls in 80 minutes, want 4: one each time that it was held for 20", n)
		}
	})
}

func TestAFullDeadLetterQueueLosesNothing(t *testing.T) {
	t.Parallel()
	inMemory(t, func(t *testing.T, w *world) {
		w.shared = memorytransport.New(memorytransport.WithCapacity(2))
		spec := moves(async.KindCommand, retried(0, 3, time.Second))
		rt := w.open(t)
		var failed, good atomic.Int32
		onMoved(t, rt, spec, func(_ context.Context, order int64, _ int32) error {
			if order == 1 {
				failed.Add(1)
				return errBroken
			}
			good.Add(1)
			return nil
		})
		run(t, rt)
		dead := transport.DeadName(w.topic(spec.Topic), "movers")
		for range 2 {
			w.inject(t, transport.Publication{Topic: dead, Direct: true}, "filler", nil, map[string]string{"ce-id": "filler"})
		}
		for step := range int32(5) {
			publish(t, rt, spec, 1, step)
		}
		elapse(15 * time.Minute)
		if failed.Load() != 15 || rt.Stats().DeadLettered != 0 {
			t.Errorf("%d calls of five messages with three attempts, counted %+v", failed.Load(), rt.Stats())
		}
		for step := range int32(10) {
			publish(t, rt, spec, 2, step)
		}
		elapse(time.Second)
		if good.Load() != 10 {
			t.Errorf("%d good messages of 10 were handled meanwhile", good.Load())
		}
		ids := map[string]int{}
		for range 7 {
			ids[w.deadLetters(t, spec.Topic, "movers", 1)[0]["async-dead-reason"]]++
			elapse(5 * time.Second)
		}
		if ids["max-attempts"] != 5 || failed.Load() != 15 || rt.Stats().DeadLettered != 5 {
			t.Errorf("dead letters %v, %d calls, counted %+v", ids, failed.Load(), rt.Stats())
		}
	})
}

func TestGoodMessagesGoOnWhileNoDeadLetterIsTaken(t *testing.T) {
	t.Parallel()
	for name, receive := range map[string]func(t *testing.T, rt *async.Runtime, spec *async.Spec, h func(order int64) error){
		"one at a time": func(t *testing.T, rt *async.Runtime, spec *async.Spec, h func(order int64) error) {
			onMoved(t, rt, spec, func(_ context.Context, order int64, _ int32) error { return h(order) }, async.WithConcurrency(2))
		},
		"in batches": func(t *testing.T, rt *async.Runtime, spec *async.Spec, h func(order int64) error) {
			must(t, async.NewSubscriber[*ordersv1.OrderMoved](rt, spec).OnBatch(func(_ context.Context, batch []*async.Delivery[*ordersv1.OrderMoved]) error {
				return h(batch[0].Msg.GetOrder())
			}, async.WithBatch(1, time.Millisecond), async.WithConcurrency(4)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory(t, func(t *testing.T, w *world) {
				const down, poison = 10 * time.Minute, 300
				start := time.Now()
				var mu sync.Mutex
				last, calls := map[string]time.Duration{}, map[int64]int{}
				rt, m := openTampered(t, w, func(transport.Publication) error { return nil })
				m.refuse = func(p transport.Publication, msg *message.Message) error {
					if !p.Direct {
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					now := time.Since(start)
					if before, tried := last[msg.UUID]; tried && now-before < time.Second {
						t.Errorf("a dead letter was tried again after %s", now-before)
					}
					last[msg.UUID] = now
					if now < down {
						return transport.ErrNacked
					}
					return nil
				}
				spec := moves(async.KindCommand, retried(0, 2, time.Second))
				good := 0
				receive(t, rt, spec, func(order int64) error {
					mu.Lock()
					defer mu.Unlock()
					if order == 0 {
						good++
						return nil
					}
					calls[order]++
					return errBroken
				})
				run(t, rt)
				ttl := async.WithTTL(time.Minute) // what failed for good does not expire while it waits to be stored
				for order := range int64(poison) {
					publish(t, rt, spec, order+1, 1, ttl)
				}
				elapse(30 * time.Second)
				for n := 1; time.Since(start) < down-time.Minute; n++ {
					publish(t, rt, spec, 0, 1)
					elapse(5 * time.Second)
					mu.Lock()
					handled := good
					mu.Unlock()
					if handled != n {
						t.Fatalf("%d of %d good messages were handled within 5 s while dead letters wait", handled, n)
					}
				}
				elapse(5 * time.Minute)
				for order, n := range calls {
					if n != 2 {
						t.Errorf("message %d was handled %d times, want 2", order, n)
					}
				}
				if s := rt.Stats(); s.DeadLettered != poison || s.Expired+s.Dropped != 0 || len(calls) != poison {
					t.Errorf("%d messages, counted %+v", len(calls), s)
				}
				m.refuse = nil
				for _, dead := range w.deadLetters(t, spec.Topic, "movers", poison) {
					if dead["async-dead-reason"] != "max-attempts" || dead["async-dead-error"] != "broken" || dead["async-attempt"] != "2" || dead["async-dead-pending"] != "" {
						t.Errorf("dead letter %v", dead)
					}
				}
			})
		})
	}
}

func TestFailingMessagesOfAFullQueueGoOn(t *testing.T) {
	t.Parallel()
	inMemory(t, func(t *testing.T, w *world) {
		w.shared = memorytransport.New(memorytransport.WithCapacity(100))
		spec := moves(async.KindCommand, retried(0, 3, time.Second))
		spec.Policy.DeadLetter.Disabled = new(true)
		rt := w.open(t)
		var calls atomic.Int32
		onMoved(t, rt, spec, func(context.Context, int64, int32) error { calls.Add(1); return errBroken }, async.WithConcurrency(1))
		run(t, rt)
		start := time.Now()
		for step := range int32(1000) {
			publish(t, rt, spec, 1, step)
		}
		elapse(time.Minute)
		if s := rt.Stats(); s.Dropped != 1000 || calls.Load() != 3000 {
			t.Errorf("%d calls of 1,000 messages with three attempts in %s, counted %+v", calls.Load(), time.Since(start), s)
		}
	})
}
