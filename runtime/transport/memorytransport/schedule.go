package memorytransport

import (
	"slices"
	"sync"
	"time"
)

// schedule knows when something happens to items: a delay ends, a message expires. It has a lock of its own, since its memory
// is cold when many retries wait, and those who send and settle must not wait for it. Whoever holds the broker's lock may
// take this one, and never the other way round.
//
// It is a heap. Each entry has four children and its time beside it: finding the next of a hundred thousand touches few cache
// lines, and none of the items. So an item does not know where its entry is. One that is taken out leaves a dead entry
// behind, and those are swept when they are the greater part.
type schedule struct {
	epoch time.Time // when the broker was made
	act   func()    // is called, on a goroutine of its own, when something is due

	mu     sync.Mutex
	events []event
	dead   int
	timer  *time.Timer
	armed  bool          // timer will fire, or act is under way
	fires  time.Duration // when it does, since epoch
	rested time.Duration // when it may fire again, since epoch
}

// event is one item and when it is due, since the broker was made.
type event struct {
	at   time.Duration
	turn uint32 // which of the item's entries this is
	item *item
}

const (
	// children is how many entries are below each.
	children = 4
	// fewDead is how many dead entries are not worth a sweep.
	fewDead = 64
	// breather is the least time between two calls of act: when many retries are under way, each brings several of them.
	breather = 5 * time.Millisecond
)

func (e event) alive() bool { return e.item.planned && e.item.turn == e.turn }

// plan has something happen to an item that nothing is to happen to yet.
func (s *schedule) plan(it *item, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it.planned = true
	it.turn++
	s.events = append(s.events, event{at: at.Sub(s.epoch), turn: it.turn, item: it})
	s.up(len(s.events) - 1)
	s.arm()
}

// cancel takes an item out, if it is in.
func (s *schedule) cancel(it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !it.planned {
		return
	}
	it.planned = false
	s.dead++
	if s.dead > fewDead && s.dead > len(s.events)/2 {
		s.sweep(func(e event) bool { return !e.alive() })
	}
}

// forget takes out the items of one queue.
func (s *schedule) forget(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(func(e event) bool {
		if !e.alive() {
			return true
		}
		e.item.planned = e.item.queue != q
		return !e.item.planned
	})
}

// sweep takes out the entries that are to go, among them the dead.
func (s *schedule) sweep(gone func(event) bool) {
	s.events = slices.DeleteFunc(s.events, gone)
	s.dead = 0
	for i := len(s.events)/children + 1; i >= 0; i-- {
		s.down(i)
	}
}

// due takes out items that are due, the earliest first, as many as there is room for. When there are none, it sets the timer
// for the next.
func (s *schedule) due(items []*item) []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.epoch)
	for len(items) < cap(items) {
		at, some := s.next()
		if !some || at > now {
			break
		}
		items = append(items, s.pop())
	}
	if len(items) == 0 {
		s.armed = false
		s.rested = now + breather
		s.arm()
	}
	return items
}

// arm sets the timer for the next event.
func (s *schedule) arm() {
	next, some := s.next()
	if !some {
		return
	}
	next = max(next, s.rested)
	if s.armed && next >= s.fires {
		return
	}
	s.armed, s.fires = true, next
	wait := next - time.Since(s.epoch)
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.act)
		return
	}
	s.timer.Reset(wait)
}

// next tells when something happens next, and whether anything does.
func (s *schedule) next() (at time.Duration, some bool) {
	for len(s.events) > 0 {
		if first := s.events[0]; first.alive() {
			return first.at, true
		}
		s.drop()
		s.dead--
	}
	return 0, false
}

// pop removes the item that is due first, after next has found one.
func (s *schedule) pop() *item {
	it := s.events[0].item
	it.planned = false
	s.drop()
	return it
}

// drop removes the first entry.
func (s *schedule) drop() {
	last := len(s.events) - 1
	s.events[0] = s.events[last]
	s.events[last] = event{}
	s.events = s.events[:last]
	s.down(0)
}

// up moves the entry at i to its place among those above it.
func (s *schedule) up(i int) {
	e := s.events[i]
	for i > 0 {
		parent := (i - 1) / children
		if s.events[parent].at <= e.at {
			break
		}
		s.events[i] = s.events[parent]
		i = parent
	}
	s.events[i] = e
}

// down moves the entry at i, if there is one, to its place among those below it.
func (s *schedule) down(i int) {
	if i >= len(s.events) {
		return
	}
	e := s.events[i]
	for {
		first := i*children + 1
		if first >= len(s.events) {
			break
		}
		least := first
		for j := first + 1; j < min(first+children, len(s.events)); j++ {
			if s.events[j].at < s.events[least].at {
				least = j
			}
		}
		if e.at <= s.events[least].at {
			break
		}
		s.events[i] = s.events[least]
		i = least
	}
	s.events[i] = e
}
