package async

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestALaneHandlesAsManyAtOnceAsItsLimit(t *testing.T) {
	t.Parallel()
	const limit, messages = 4, 100
	var now, most atomic.Int64
	var all sync.WaitGroup
	all.Add(messages)
	full := make(chan struct{})
	l := newLane(newTestCrew(t), limit, func(*lane, *delivery) {
		defer all.Done()
		n := now.Add(1)
		defer now.Add(-1)
		for {
			seen := most.Load()
			if n <= seen || most.CompareAndSwap(seen, n) {
				break
			}
		}
		if n == limit {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		<-full // nobody ends before all workers are there
	})
	for range messages {
		l.put(&delivery{})
	}
	all.Wait()
	if most.Load() != limit {
		t.Errorf("%d handlers ran at once; want %d", most.Load(), limit)
	}
}

func TestALaneKeepsTheOrderOfOneWorker(t *testing.T) {
	t.Parallel()
	const messages = 1000
	handled := make(chan *delivery, messages)
	l := newLane(newTestCrew(t), 1, func(_ *lane, x *delivery) { handled <- x })
	put := make([]*delivery, messages)
	for i := range put {
		put[i] = &delivery{}
		l.put(put[i])
	}
	for i, want := range put {
		if got := <-handled; got != want {
			t.Fatalf("delivery %d was overtaken", i)
		}
	}
}

func TestALaneOutlivesAHandlerThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	handled := make(chan struct{}, 3)
	l := newLane(newTestCrew(t), 1, func(*lane, *delivery) {
		handled <- struct{}{}
		runtime.Goexit()
	})
	for range cap(handled) {
		l.put(&delivery{})
	}
	for range cap(handled) {
		<-handled
	}
}

func TestAClosedLaneTakesNothing(t *testing.T) {
	t.Parallel()
	l := newLane(newTestCrew(t), 1, func(*lane, *delivery) { t.Error("a delivery of a closed lane was handled") })
	l.close()
	if l.put(&delivery{}) {
		t.Error("a closed lane took a delivery")
	}
}

func TestWhoWaitsInALaneGetsTheFirstOrTheEnd(t *testing.T) {
	t.Parallel()
	l := newLane(newTestCrew(t), 0, nil)
	got := make(chan *delivery)
	go func() { got <- l.wait(context.Background(), nil, nil) }()
	x := &delivery{}
	l.put(x)
	if <-got != x {
		t.Error("the waiter got another delivery")
	}
	late := make(chan time.Time, 1)
	late <- time.Now()
	if l.wait(context.Background(), nil, late) != nil {
		t.Error("a delivery came out of an empty lane")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if l.wait(ctx, nil, nil) != nil {
		t.Error("a delivery came out of an empty lane")
	}
}

// newTestCrew is a crew that goes home with the test.
func newTestCrew(t *testing.T) *crew {
	t.Helper()
	c := newCrew()
	t.Cleanup(c.close)
	return c
}
