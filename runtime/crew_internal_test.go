package async

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestHandlersThatBlockHoldUpNoOtherLane(t *testing.T) {
	t.Parallel()
	const lanes = 50
	c := newTestCrew(t)
	var in atomic.Int64
	var all sync.WaitGroup
	everywhere := make(chan struct{})
	handle := func(*lane, *delivery) {
		defer all.Done()
		if in.Add(1) == lanes {
			close(everywhere)
		}
		<-everywhere // nobody ends before every lane has a worker
	}
	all.Add(lanes)
	for range lanes {
		newLane(c, 1, handle).put(&delivery{})
	}
	all.Wait()
}

func TestACrewKeepsAFewWorkersUntilItIsClosed(t *testing.T) {
	t.Parallel()
	c := newCrew()
	const lanes = 100
	var all sync.WaitGroup
	all.Add(lanes)
	together := make(chan struct{})
	var in atomic.Int64
	for range lanes {
		newLane(c, 1, func(*lane, *delivery) {
			defer all.Done()
			if in.Add(1) == lanes {
				close(together)
			}
			<-together
		}).put(&delivery{})
	}
	all.Wait()
	idle := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.idle
	}
	for idle() < c.spare {
		runtime.Gosched()
	}
	c.close() // goleak sees to it that they go
	all.Add(1)
	newLane(c, 1, func(*lane, *delivery) { all.Done() }).put(&delivery{})
	all.Wait()
	if n := idle(); n != 0 {
		t.Errorf("%d workers are idle in a crew that was closed", n)
	}
}

func TestAWorkerThatEndsInALaneIsMissedByNobody(t *testing.T) {
	t.Parallel()
	c := newTestCrew(t)
	const messages = 200
	var all sync.WaitGroup
	all.Add(messages)
	ending := newLane(c, 2, func(*lane, *delivery) {
		defer all.Done()
		runtime.Goexit()
	})
	other := newLane(c, 2, func(*lane, *delivery) { all.Done() })
	for i := range messages {
		[]*lane{ending, other}[i%2].put(&delivery{})
	}
	all.Wait()
}
