package load

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Tally knows which messages arrived. It may be told from many goroutines at once.
type Tally struct {
	total    int
	seen     []atomic.Uint64
	all      atomic.Int64
	distinct atomic.Int64
	foreign  atomic.Int64

	// watched holds the moments that somebody waits for: a number of distinct messages, and what happens then.
	watched []*watch

	mu        sync.Mutex
	latencies []time.Duration
	late      bool
}

type watch struct {
	at   int64
	when func()
	done chan struct{}
}

// NewTally returns a tally of the messages numbered from 0 to total-1.
func NewTally(total int) *Tally {
	return &Tally{total: total, seen: make([]atomic.Uint64, (total+63)/64)}
}

// Watch has f called, by the goroutine that marks it, when so many distinct messages have arrived, and returns a channel
// that is closed afterwards. It must not be called once messages arrive.
func (t *Tally) Watch(distinct int, f func()) <-chan struct{} {
	w := &watch{at: int64(distinct), when: f, done: make(chan struct{})}
	t.watched = append(t.watched, w)
	return w.done
}

// KeepLatencies makes Mark keep how long messages took since they were to be sent. It must not be called once messages
// arrive.
func (t *Tally) KeepLatencies() {
	t.late = true
	t.latencies = make([]time.Duration, 0, t.total)
}

// Mark says that a message arrived.
func (t *Tally) Mark(number int, intended int64) {
	t.all.Add(1)
	if number < 0 || number >= t.total {
		t.foreign.Add(1)
		return
	}
	if bit := uint64(1) << (number % 64); t.seen[number/64].Or(bit)&bit != 0 {
		return
	}
	if t.late && intended != untimed {
		took := time.Duration(time.Now().UnixNano() - intended)
		t.mu.Lock()
		t.latencies = append(t.latencies, took)
		t.mu.Unlock()
	}
	n := t.distinct.Add(1)
	for _, w := range t.watched {
		if w.at == n {
			w.when()
			close(w.done)
		}
	}
}

// Counts returns how many messages were expected, how many arrived, and how many of these were different ones that
// belong to the run.
func (t *Tally) Counts() (expected, delivered, distinct int) {
	return t.total, int(t.all.Load()), int(t.distinct.Load())
}

// Percentiles returns the given shares of the kept latencies, in order.
func (t *Tally) Percentiles(shares ...float64) []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.latencies)
	out := make([]time.Duration, len(shares))
	for i, share := range shares {
		if n := len(t.latencies); n > 0 {
			out[i] = t.latencies[min(n-1, int(share*float64(n)))]
		}
	}
	return out
}
