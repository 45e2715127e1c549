package amqptransport

import (
	"context"
	"sync"
)

// turns lets what belongs to one key be done by one goroutine after the other. Its zero value is ready.
type turns struct {
	mu    sync.Mutex
	taken map[any]chan struct{} // closed when the turn ends
}

// take waits for the turn of key until ctx ends. Whoever got it calls end.
func (t *turns) take(ctx context.Context, key any) (end func(), err error) {
	for {
		before := t.enter(key)
		if before == nil {
			return func() { t.leave(key) }, nil
		}
		select {
		case <-before:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// enter takes the turn, or returns what tells the end of somebody else's.
func (t *turns) enter(key any) (before <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if taken, is := t.taken[key]; is {
		return taken
	}
	if t.taken == nil {
		t.taken = make(map[any]chan struct{})
	}
	t.taken[key] = make(chan struct{})
	return nil
}

func (t *turns) leave(key any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.taken[key])
	delete(t.taken, key)
}
