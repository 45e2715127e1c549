package load

import (
	"sync"
	"sync/atomic"
	"time"
)

// untimed stands where nobody asks when a message was to be sent, so that payloads keep their size.
const untimed = 1

// Source numbers the messages of a run, from first to last. It may be asked from many goroutines at once.
type Source struct {
	next, end atomic.Int64

	interval time.Duration
	mu       sync.Mutex
	start    time.Time
}

// NewSource returns a source of n numbers from first on, as fast as they are asked for.
func NewSource(first, n int) *Source {
	s := new(Source)
	s.next.Store(int64(first))
	s.end.Store(int64(first + n))
	return s
}

// NewPacedSource returns a source that holds each number back until its time has come: rate a second from the first call
// on, however late the calls are.
func NewPacedSource(first, n, rate int) *Source {
	s := NewSource(first, n)
	s.interval = time.Second / time.Duration(rate)
	return s
}

// Next returns the next number and when its message was to be sent, in Unix nanoseconds. It returns false at the end.
func (s *Source) Next() (number int, intended int64, ok bool) {
	if s.interval == 0 {
		n := s.next.Add(1) - 1
		return int(n), untimed, n < s.end.Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.next.Load()
	if n >= s.end.Load() {
		return 0, 0, false
	}
	if s.start.IsZero() {
		s.start = time.Now()
	} else {
		s.start = s.start.Add(s.interval)
	}
	// A pause may end up to a millisecond late, and then the numbers that are due come at once; that is part of the load,
	// and the same for every side.
	time.Sleep(time.Until(s.start))
	s.next.Store(n + 1)
	return int(n), s.start.UnixNano(), true
}

// Stop makes Next return false from now on, so that the other callers end when one has failed.
func (s *Source) Stop() { s.end.Store(0) }
