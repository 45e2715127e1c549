package async

import (
	"context"
	"sync"
	"time"
)

// lane holds the deliveries that wait for a handler, and asks the crew for workers that handle them: as many as there is work
// for, up to a limit. A worker leaves when nothing waits, so a lane without messages costs no goroutine.
//
// At most one worker is on its way at a time. It takes a delivery, and before it handles that, it has the next one come if
// more wait. So handlers that take long run side by side up to the limit, and quick ones are left to the few workers that
// keep up with them.
type lane struct {
	crew   *crew
	behind *lane // in the crew's list
	limit  int   // workers at once; 0 where somebody else takes what waits
	// handle is a worker's work. It may take more deliveries.
	handle func(*lane, *delivery)

	mu       sync.Mutex
	ring     []*delivery // waiting deliveries: count of them from head on; its length is a power of two
	head     int
	count    int
	workers  int
	starting bool
	waiters  int // who wait for arrived
	arrived  chan struct{}
	closed   bool
}

// smallestRing is how many deliveries a lane has room for at first.
const smallestRing = 16

func newLane(c *crew, limit int, handle func(*lane, *delivery)) *lane {
	return &lane{crew: c, limit: limit, handle: handle, arrived: make(chan struct{}, 1)}
}

// put adds a delivery. It returns false when the lane is closed.
func (l *lane) put(x *delivery) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.push(x)
	start := l.stir()
	l.mu.Unlock()
	if start {
		l.crew.enlist(l)
	}
	return true
}

// stir sees to it that somebody takes what waits: who waits for it already, or another worker, for which the caller has to
// enlist the lane when stir returns true. The caller holds the lock.
func (l *lane) stir() (start bool) {
	switch {
	case l.count == 0:
		return false
	case l.waiters > 0:
		l.signal()
		return false
	case l.starting || l.workers >= l.limit:
		return false
	}
	l.starting = true
	l.workers++
	return true
}

// work handles one delivery after the other until none waits. It is what a worker of the crew does here.
func (l *lane) work() { l.workFrom(nil) }

// workFrom is work that goes on where another goroutine ended: with x, which that one had taken. A handler that ends its
// goroutine (runtime.Goexit) takes the worker with it. The worker's place is not free by that: if another worker took it, the
// next message of a key would be handled before x has its verdict, and more at once than the limit.
func (l *lane) workFrom(x *delivery) {
	finished := false
	defer func() {
		if !finished {
			go l.workFrom(x)
		}
	}()
	begun := x != nil
	if begun && x.ended {
		l.handle(l, x)
	}
	for {
		l.mu.Lock()
		if !begun {
			begun, l.starting = true, false
		}
		x = l.pop()
		if x == nil {
			l.workers--
			finished = true
			l.mu.Unlock()
			return
		}
		start := l.stir()
		l.mu.Unlock()
		if start {
			l.crew.enlist(l)
		}
		l.handle(l, x)
	}
}

// take removes the first delivery, nil when none waits.
func (l *lane) take() *delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pop()
}

// wait takes the first delivery, and waits for one until ctx, draining or late ends, nil then.
func (l *lane) wait(ctx context.Context, draining <-chan struct{}, late <-chan time.Time) *delivery {
	l.mu.Lock()
	if x := l.pop(); x != nil {
		l.mu.Unlock()
		return x
	}
	l.waiters++
	l.mu.Unlock()
	x := l.await(ctx, draining, late)
	l.mu.Lock()
	l.waiters--
	// What this one leaves is for the next waiter, or for a worker.
	start := l.stir()
	l.mu.Unlock()
	if start {
		l.crew.enlist(l)
	}
	return x
}

func (l *lane) await(ctx context.Context, draining <-chan struct{}, late <-chan time.Time) *delivery {
	for {
		select {
		case <-l.arrived:
			if x := l.take(); x != nil {
				return x
			}
		case <-late:
			return nil
		case <-draining:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *lane) signal() {
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// close refuses what comes from now on.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
}

func (l *lane) push(x *delivery) {
	if l.count == len(l.ring) {
		grown := make([]*delivery, max(2*len(l.ring), smallestRing))
		n := copy(grown, l.ring[l.head:])
		copy(grown[n:], l.ring[:l.head])
		l.ring, l.head = grown, 0
	}
	l.ring[(l.head+l.count)&(len(l.ring)-1)] = x
	l.count++
}

func (l *lane) pop() *delivery {
	if l.count == 0 {
		return nil
	}
	x := l.ring[l.head]
	l.ring[l.head] = nil
	l.head = (l.head + 1) & (len(l.ring) - 1)
	l.count--
	return x
}
