package async

import (
	"runtime"
	"sync"
)

// crew are the goroutines that work in the lanes of a runtime. A few of them stay when there is nothing to do: a goroutine
// that has worked already has the stack that handlers need, and a thousand lanes with a message now and then cost no more
// than one lane that is never empty.
//
// As in a lane, one worker at a time is on its way. It takes a lane, and before it works there, it has another one come if
// more lanes wait. So handlers that block never hold up other lanes, and quick ones are left to the workers that are awake.
type crew struct {
	mu          sync.Mutex
	first, last *lane // the lanes that wait for a worker, linked by lane.behind; a lane waits for one at a time
	starting    bool
	spare       int // how many stay when there is nothing to do
	idle        int // who wait for wanted
	wanted      sync.Cond
	closed      bool
}

func newCrew() *crew {
	c := &crew{spare: 2 * runtime.GOMAXPROCS(0)}
	c.wanted.L = &c.mu
	return c
}

// enlist has a worker call l.work soon, on a goroutine of its own.
func (c *crew) enlist(l *lane) {
	c.mu.Lock()
	if c.first == nil {
		c.first = l
	} else {
		c.last.behind = l
	}
	c.last = l
	start := c.stir()
	c.mu.Unlock()
	if start {
		go c.work()
	}
}

// stir sees to it that somebody comes for the lanes that wait: an idle worker, or a new one, which the caller has to start
// when stir returns true. The caller holds the lock.
func (c *crew) stir() (start bool) {
	if c.starting || c.first == nil {
		return false
	}
	c.starting = true
	if c.idle == 0 {
		return true
	}
	c.idle--
	c.wanted.Signal()
	return false
}

// work goes from lane to lane. A handler that ends its goroutine takes the worker with it, and nobody misses it.
func (c *crew) work() {
	c.mu.Lock()
	c.starting = false
	for c.first != nil || c.rest() {
		l := c.next()
		if l == nil {
			continue // another worker came first
		}
		start := c.stir()
		c.mu.Unlock()
		if start {
			go c.work()
		}
		l.work()
		c.mu.Lock()
	}
	c.mu.Unlock()
}

// rest waits until the worker is wanted again. It returns false when it never will be. The caller holds the lock.
func (c *crew) rest() bool {
	if c.closed || c.idle >= c.spare {
		return false
	}
	c.idle++
	c.wanted.Wait()
	c.starting = false
	return true
}

// next takes the lane that has waited longest, nil when none waits. The caller holds the lock.
func (c *crew) next() *lane {
	l := c.first
	if l != nil {
		c.first, l.behind = l.behind, nil
	}
	return l
}

// close ends the idle workers. What comes later is worked on all the same.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.idle = 0
	c.wanted.Broadcast()
}
