package async_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// fullBars makes the tests of this file run at their full size, which takes minutes, and hold throughput to its bar:
//
//	make bars
//
// By default they run small and hold to counts and order only.
var fullBars = os.Getenv("ASYNC_TEST_BARS") == "full"

// sized is full in a full run and small in any other.
func sized[T any](small, full T) T {
	if fullBars {
		return full
	}
	return small
}

// ledger is what the handlers of one ordered group saw.
type ledger struct {
	mu       sync.Mutex
	failures int             // that are still to be injected
	called   map[int64]int32 // by key: the last step whose first call was seen
	handled  map[int64]int32 // and whose first success was seen
	seen     map[[2]int64]bool
	active   map[int64]bool
	injected int
	repeated int
	wrong    []string
}

func (l *ledger) complain(format string, args ...any) {
	if len(l.wrong) < 10 {
		l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
	}
}

// enter notes a call and says whether it shall fail.
func (l *ledger) enter(key int64, step int32, attempt int) (fail bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[key] {
		l.complain("key %d: two messages at once", key)
	}
	l.active[key] = true
	if step > l.called[key]+1 {
		l.complain("key %d: %d was handled first after %d", key, step, l.called[key])
	}
	l.called[key] = max(l.called[key], step)
	// Spread over keys and steps, each failing message fails twice.
	if l.failures > 0 && attempt <= 2 && (int64(step)*31+key*17)%29 == 0 {
		l.failures--
		l.injected++
		return true
	}
	return false
}

func (l *ledger) leave(key int64, step int32, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[key] = false
	if failed {
		return
	}
	if id := [2]int64{key, int64(step)}; l.seen[id] {
		l.repeated++
	} else {
		l.seen[id] = true
		if step != l.handled[key]+1 {
			l.complain("key %d: %d succeeded after %d", key, step, l.handled[key])
		}
	}
	l.handled[key] = max(l.handled[key], step)
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

func TestBarOrderByKeyThroughFailuresAndRestarts(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		if w.caps.Order == transport.None {
			wantErr(t, async.NewPublisher[*ordersv1.OrderMoved](w.open(t), moves(async.KindEvent, func(s *async.Spec) { s.Policy.Ordering = async.OrderingByKey })).
				Send(t.Context(), &ordersv1.OrderMoved{}), async.ErrUnsupported)
			return
		}
		const keys, restarts = 64, 5
		steps, failures := sized(int32(40), int32(1000)), sized(100, 2000)
		spec := moves(async.KindCommand, func(s *async.Spec) {
			retried(0, 8, 2*time.Millisecond)(s)
			s.Policy.Ordering = async.OrderingByKey
		})
		l := &ledger{failures: failures, called: map[int64]int32{}, handled: map[int64]int32{}, seen: map[[2]int64]bool{}, active: map[int64]bool{}}
		consumer := func() (stop func()) {
			rt := w.open(t)
			onMoved(t, rt, spec, func(ctx context.Context, key int64, step int32) error {
				info, _ := async.InfoFrom(ctx)
				fail := l.enter(key, step, info.Attempt)
				defer l.leave(key, step, fail)
				if fail {
					return errors.New("injected")
				}
				return nil
			}, async.WithConcurrency(16))
			stopRun := run(t, rt)
			return func() {
				stopRun()
				must(t, rt.Close())
			}
		}
		start := time.Now()
		stop := consumer()
		var sending sync.WaitGroup
		sending.Go(func() {
			p := async.NewPublisher[*ordersv1.OrderMoved](w.open(t), spec)
			for step := int32(1); step <= steps; step++ {
				for key := range int64(keys) {
					p.SendAsync(t.Context(), &ordersv1.OrderMoved{Order: key, Step: step}).Then(func(err error) {
						if err != nil {
							t.Errorf("key %d, step %d: %v", key, step, err)
						}
					})
				}
			}
		})
		total := keys * int(steps)
		for i := range restarts {
			awaitFor(t, fmt.Sprintf("restart %d", i+1), sized(patience, 10*time.Minute), func() bool { return l.count() >= total*(i+1)/(restarts+2) })
			if i%2 == 0 {
				stop()
				stop = consumer()
				continue
			}
			// As a rolling deployment does it: the next one is there before the last one goes.
			following := consumer()
			stop()
			stop = following
		}
		sending.Wait()
		awaitFor(t, "all are handled", sized(patience, 10*time.Minute), func() bool { return l.count() == total })
		took := time.Since(start)
		stop()
		l.mu.Lock()
		defer l.mu.Unlock()
		t.Logf("%d keys x %d messages, %d injected failures, %d restarts: %d handled, %d of them more than once, in %s",
			keys, steps, l.injected, restarts, len(l.seen), l.repeated, took.Round(time.Millisecond))
		if len(l.wrong) > 0 {
			t.Errorf("out of order: %v", l.wrong)
		}
		if want := sized(50, 1000); l.injected < want {
			t.Errorf("%d injected failures, want at least %d", l.injected, want)
		}
	})
}

// poisoned is one run of the poison bar.
type poisoned struct {
	good     float64 // handled per second
	failures float64 // attempts that failed per second, in the same time
	poison   int
	calls    []poisonCalls // by the order in which the poison was sent
}

// poisonCalls are the handler calls of one poison message. There is room for all and one too many, made beforehand: keeping
// books is not to cost more for a poison message than for a good one.
type poisonCalls struct {
	n  int
	at [maxPoisonCalls]int64
}

const maxPoisonCalls = 13

func (c *poisonCalls) add() {
	if c.n < maxPoisonCalls {
		c.at[c.n] = time.Now().UnixNano()
	}
	c.n++
}

// pace lets messages go at a rate, a hundredth of a second's worth at a time. A rate of zero is none.
type pace struct {
	tick  *time.Ticker
	share int // of a tick
	left  int
}

func newPace(rate int) *pace {
	const ticks = 100
	if rate == 0 {
		return &pace{}
	}
	return &pace{tick: time.NewTicker(time.Second / ticks), share: rate / ticks}
}

// wait returns false when ctx has ended.
func (p *pace) wait(ctx context.Context) bool {
	if p.tick != nil && p.left == 0 {
		select {
		case <-p.tick.C:
			p.left = p.share
		case <-ctx.Done():
		}
	}
	p.left--
	return ctx.Err() == nil
}

func (p *pace) stop() {
	if p.tick != nil {
		p.tick.Stop()
	}
}

// attack sends so many messages a second, or without a rate as fast as the broker takes them, the first and then one in a hundred
// poison if poison is set, and counts what a group handles meanwhile. However busy the machine, one is sent.
func attack(t *testing.T, name string, rate int, duration time.Duration, poison bool) poisoned {
	t.Helper()
	// In a full run the default policy, with backoffs short enough for all poison to be dead in half a minute.
	attempts := sized(12, 8)
	w := newWorld(t, name)
	if name == "memory" {
		// Nobody looks at the dead letters of a run, and there are more of them than the 10,000 that a queue takes.
		w.url = "memory://" + w.namespace + "?capacity=200000"
	}
	spec := moves(async.KindCommand, func(s *async.Spec) {
		retried(0, uint32(attempts), sized(50*time.Millisecond, 500*time.Millisecond))(s)
		// In a small run the jitter is such that more than ten redeliveries in a second would be a fault and not a chance.
		s.Policy.Retry.MaxBackoff, s.Policy.Retry.Jitter = new(sized(time.Second, 8*time.Second)), new(sized(0.5, 1.0))
	})
	rt := w.open(t)
	var mu sync.Mutex
	good, failures, calls := 0, 0, make([]poisonCalls, 0, 100_000)
	onMoved(t, rt, spec, func(_ context.Context, key int64, _ int32) error {
		mu.Lock()
		defer mu.Unlock()
		if key == 0 {
			good++
			return nil
		}
		failures++
		for int64(len(calls)) < key {
			calls = append(calls, poisonCalls{})
		}
		calls[key-1].add()
		return errors.New("poison")
	})
	stop := run(t, rt)
	p := async.NewPublisher[*ordersv1.OrderMoved](w.open(t), spec)
	start, sent := time.Now(), int64(0)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	pace := newPace(rate)
	defer pace.stop()
	var receipts []*async.Receipt
	for i := int64(1); i == 1 || pace.wait(ctx); i++ {
		msg := &ordersv1.OrderMoved{}
		if poison && i%100 == 1 {
			sent++
			msg.Order = sent
		}
		// At most 5,000 messages wait, so that the end of the run is the end of the load.
		if receipts = append(receipts, p.SendAsync(t.Context(), msg)); len(receipts) == 1000 {
			for _, r := range receipts {
				must(t, r.Wait(t.Context()))
			}
			receipts = receipts[:0]
			for backlog := true; backlog && ctx.Err() == nil; {
				mu.Lock()
				backlog = i-int64(good) > 5000+sent
				mu.Unlock()
				if backlog {
					<-time.After(time.Millisecond)
				}
			}
		}
	}
	mu.Lock()
	out := poisoned{good: float64(good) / time.Since(start).Seconds(), failures: float64(failures) / time.Since(start).Seconds(), poison: int(sent)}
	mu.Unlock()
	for _, r := range receipts {
		must(t, r.Wait(t.Context()))
	}
	awaitFor(t, "all poison is dead", 2*time.Minute, func() bool { return rt.Stats().DeadLettered == uint64(sent) })
	stop()
	must(t, rt.Close())
	out.calls = calls
	if len(out.calls) != out.poison {
		t.Errorf("%d poison messages were handled, %d were sent", len(out.calls), out.poison)
	}
	for i, c := range out.calls {
		if c.n != attempts {
			t.Errorf("poison message %d: %d handler calls, want %d", i, c.n, attempts)
		}
		times := c.at[:min(c.n, maxPoisonCalls)]
		slices.Sort(times)
		for k := 11; k < len(times); k++ {
			if within := time.Duration(times[k] - times[k-11]); within < time.Second {
				t.Errorf("poison message %d: 11 redeliveries in %s", i, within)
			}
		}
	}
	return out
}

// TestBarPoisonDoesNotSlowDownGoodMessages holds the bar at the load that a harness of faults has, 1,000 messages a second: what
// fails keeps nobody waiting. At full load it says how much is left, and holds only what becomes of the poison: seven further
// attempts of a message in a hundred, each through the delays of the broker, take a tenth of two processors and more by themselves.
func TestBarPoisonDoesNotSlowDownGoodMessages(t *testing.T) {
	loads := []struct {
		name string
		rate int
	}{{"at 1000 a second", 1000}, {"at full load", 0}}
	for _, name := range []string{"memory", "amqp"} {
		for _, load := range loads {
			t.Run(name+"/"+load.name, func(t *testing.T) {
				if !fullBars || load.rate > 0 {
					t.Parallel()
				}
				duration, pairs := sized(300*time.Millisecond, 30*time.Second), sized(1, 3)
				var clean, bad, calls float64
				for i := range pairs {
					// Whoever is second finds the other's garbage, and the broker's.
					first := attack(t, name, load.rate, duration, i%2 == 1)
					second := attack(t, name, load.rate, duration, i%2 == 0)
					c, b := first, second
					if i%2 == 1 {
						c, b = second, first
					}
					t.Logf("pair %d: clean %.0f/s, with 1 %% poison %.0f good/s (%.1f %%), %d poison messages", i+1, c.good, b.good, 100*b.good/c.good, b.poison)
					clean, bad, calls = clean+c.good, bad+b.good, calls+b.good+b.failures
					if b.poison == 0 {
						t.Error("no poison was sent")
					}
				}
				t.Logf("%d pairs of %s: good messages keep %.1f %% of the clean throughput; with the failed attempts %.1f %%", pairs, duration, 100*bad/clean, 100*calls/clean)
				if fullBars && load.rate > 0 && bad < 0.9*clean {
					t.Errorf("good messages keep %.1f %% of the clean throughput, want 90 %%", 100*bad/clean)
				}
			})
		}
	}
}
