package async

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// MemoryDedupStore is a [DedupStore] for the consumers of one process. It holds a bounded number of keys and forgets with the
// process. Its methods never wait and never fail; they may be called from many goroutines at once.
type MemoryDedupStore struct {
	size int

	mu     sync.Mutex
	leases map[string]time.Time     // when each ends
	done   map[string]*list.Element // of order
	order  list.List                // doneKey, the oldest in front
}

type doneKey struct {
	key  string
	ends time.Time
}

// NewMemoryDedupStore returns an empty store for size keys, at least 1. When it is full it forgets the key that was done
// first, however young it is; a lease in progress is never forgotten: while all places are leased, another message waits
// for one. Make size larger than the messages of a window, and than the handlers that run at once.
func NewMemoryDedupStore(size int) (*MemoryDedupStore, error) {
	if size < 1 {
		return nil, fmt.Errorf("async: a store of %d handled messages: use at least 1", size)
	}
	return &MemoryDedupStore{size: size, leases: make(map[string]time.Time), done: make(map[string]*list.Element)}, nil
}

// Begin takes the lease of key, or tells why not. A store without a free place answers [DedupBusy].
func (s *MemoryDedupStore) Begin(_ context.Context, key string, lease time.Duration) (DedupState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if e := s.done[key]; e != nil {
		if now.Before(e.Value.(doneKey).ends) { //nolint:errcheck,forcetypeassert // only such are pushed
			return DedupDone, nil
		}
		s.forget(e)
	}
	if ends, leased := s.leases[key]; leased && now.Before(ends) {
		return DedupBusy, nil
	}
	delete(s.leases, key)
	if !s.room(now) {
		return DedupBusy, nil
	}
	s.leases[key] = now.Add(lease)
	return DedupFresh, nil
}

// End gives the lease of key back; with ok the key is done for window.
func (s *MemoryDedupStore) End(_ context.Context, key string, ok bool, window time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, key)
	if !ok {
		return nil
	}
	now := time.Now()
	if e := s.done[key]; e != nil {
		s.forget(e)
	}
	// The lease may have ended before, and another may have its place.
	if s.room(now) {
		s.done[key] = s.order.PushBack(doneKey{key: key, ends: now.Add(window)})
	}
	return nil
}

// Len is how many keys are held, leases included.
func (s *MemoryDedupStore) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.leases) + len(s.done)
}

// room makes a place for one more key, if it can.
func (s *MemoryDedupStore) room(now time.Time) bool {
	for e := s.order.Front(); e != nil && !now.Before(e.Value.(doneKey).ends); e = s.order.Front() { //nolint:errcheck,forcetypeassert // only such are pushed
		s.forget(e)
	}
	if len(s.leases)+len(s.done) < s.size {
		return true
	}
	if oldest := s.order.Front(); oldest != nil {
		s.forget(oldest)
		return true
	}
	for key, ends := range s.leases {
		if !now.Before(ends) {
			delete(s.leases, key)
		}
	}
	return len(s.leases) < s.size
}

func (s *MemoryDedupStore) forget(e *list.Element) {
	key := s.order.Remove(e).(doneKey).key //nolint:errcheck,forcetypeassert // only such are pushed
	delete(s.done, key)
}
