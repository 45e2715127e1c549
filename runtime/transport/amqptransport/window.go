package amqptransport

import (
	"slices"
	"sync"
)

// window counts the places for sends that wait for the broker's answer. Whoever finds none stands in a line.
type window struct {
	mu   sync.Mutex
	size int
	used int
	line []chan struct{}
}

// take takes a place, if there is one.
func (w *window) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used >= w.size {
		return false
	}
	w.used++
	return true
}

// queue takes a place, or returns what tells when the caller has got one.
func (w *window) queue() (turn chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used < w.size {
		w.used++
		return nil
	}
	turn = make(chan struct{}, 1)
	w.line = append(w.line, turn)
	return turn
}

// leave ends the wait of turn, whose caller has not seen it come.
func (w *window) leave(turn chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.line, turn); i >= 0 {
		w.line = slices.Delete(w.line, i, i+1)
		return
	}
	w.free(1)
}

// give gives n places back.
func (w *window) give(n int) {
	if n == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free(n)
}

// free hands n places to the line. The caller holds the lock.
func (w *window) free(n int) {
	next := min(n, len(w.line))
	for _, turn := range w.line[:next] {
		turn <- struct{}{}
	}
	w.line = slices.Delete(w.line, 0, next)
	w.used -= n - next
}

func (w *window) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.used == 0
}
