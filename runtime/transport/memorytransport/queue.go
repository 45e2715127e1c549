package memorytransport

import (
	"container/heap"
	"slices"
)

// queue holds the messages of one group, or dead letters, or replies. The broker's lock guards all of it.
type queue struct {
	name      string
	broker    *Broker
	ordered   bool
	temporary bool

	// fresh[head:] are the items that were never handed out, by seq; some of them may be gone. back are the items
	// that were put back. The next item is the one with the lower seq of both.
	fresh []*item
	head  int
	back  bySeq

	waiting  int // items that can be handed out
	dead     int // items of fresh that are gone
	delayed  int
	retrying int
	taken    int

	consumers []*consumption
	turn      int // the consumer that is asked first

	senders []chan struct{} // sends that wait for room, the oldest first
}

// full reports whether sends have to wait. Deliveries that wait for their next attempt have room of their own: they come
// and go as handlers fail, and good messages must not wait for them.
func (q *queue) full() bool {
	return q.waiting+q.delayed >= q.broker.capacity || q.retrying >= retriesPerPlace*q.broker.capacity
}

// pend counts an item that waits for its time, by what it waits for: n is 1 or -1.
func (q *queue) pend(it *item, n int) {
	if it.state == retrying {
		q.retrying += n
	} else {
		q.delayed += n
	}
}

// push appends an item that can be handed out.
func (q *queue) push(it *item) {
	q.broker.seq++
	it.seq = q.broker.seq
	it.state = ready
	q.fresh = append(q.fresh, it)
	q.waiting++
	q.watch(it)
}

// drops reports whether what has expired is dropped here. Where somebody consumes, it is handed out all the same: the
// consumer drops it, and can count it and say so.
func (q *queue) drops() bool { return len(q.consumers) == 0 }

// putBack returns an item to its old place.
func (q *queue) putBack(it *item) {
	if q.drops() && it.expired() {
		it.state = gone
		return
	}
	it.state = returned
	heap.Push(&q.back, it)
	q.waiting++
	q.watch(it)
}

// watch schedules the end of an item that expires.
func (q *queue) watch(it *item) {
	if !it.expires.IsZero() {
		q.broker.schedule.plan(it, it.expires)
	}
}

// pop takes the next item, nil when there is none.
func (q *queue) pop() *item {
	for q.waiting > 0 {
		it := q.next()
		if it.state == gone {
			continue
		}
		q.waiting--
		if !it.expires.IsZero() {
			q.broker.schedule.cancel(it)
		}
		if q.drops() && it.expired() {
			it.state = gone
			q.room()
			continue
		}
		it.state = taken
		q.taken++
		q.room()
		return it
	}
	return nil
}

// next removes the first item of fresh or back, whichever is older.
func (q *queue) next() *item {
	if len(q.back) > 0 && (q.head == len(q.fresh) || q.back[0].seq < q.fresh[q.head].seq) {
		return heap.Pop(&q.back).(*item) //nolint:errcheck,forcetypeassert // only items are pushed
	}
	it := q.fresh[q.head]
	q.fresh[q.head] = nil
	q.head++
	if it.state == gone {
		q.dead--
	}
	switch {
	case q.head == len(q.fresh):
		q.fresh, q.head = q.fresh[:0], 0
	case q.head >= 256 && q.head > len(q.fresh)/2:
		q.fresh = slices.Delete(q.fresh, 0, q.head)
		q.head = 0
	}
	return it
}

// expire drops an item that waits in the queue. An item of fresh only gets a mark; the marked ones are swept when
// they are the greater part, so that a queue without consumers does not grow with what expired.
func (q *queue) expire(it *item) {
	q.waiting--
	if it.state == returned {
		heap.Remove(&q.back, slices.Index(q.back, it))
		it.state = gone
	} else {
		it.state = gone
		q.dead++
		if q.dead > 64 && q.dead > (len(q.fresh)-q.head)/2 {
			q.fresh = slices.DeleteFunc(slices.Delete(q.fresh, 0, q.head), func(it *item) bool { return it.state == gone })
			q.head, q.dead = 0, 0
		}
	}
	q.room()
}

// room wakes one send that waits for room.
func (q *queue) room() {
	if len(q.senders) == 0 || q.full() {
		return
	}
	first := q.senders[0]
	q.senders[0] = nil
	q.senders = q.senders[1:]
	close(first)
}

// wake picks a consumer for what waits, marks it busy and appends it to runs; the caller runs it without the lock. One
// that is busy already looks for more by itself.
func (q *queue) wake(runs []*consumption) []*consumption {
	if q.waiting == 0 || len(q.consumers) == 0 {
		return runs
	}
	if q.ordered {
		return q.active().start(runs)
	}
	for range q.consumers {
		q.turn = (q.turn + 1) % len(q.consumers)
		if c := q.consumers[q.turn]; c.ready() {
			return c.start(runs)
		}
	}
	return runs
}

// wakeAll wakes every consumer that could take something: for when many items came at once.
func (q *queue) wakeAll(runs []*consumption) []*consumption {
	for range min(len(q.consumers), q.waiting) {
		runs = q.wake(runs)
	}
	return runs
}

// active is the consumer of an ordered queue that has its turn: the first that has not stopped, or that still holds
// deliveries. It is the last one when all have stopped.
func (q *queue) active() *consumption {
	for _, c := range q.consumers {
		if !c.stopped || c.out > 0 {
			return c
		}
	}
	return q.consumers[len(q.consumers)-1]
}

// serves reports whether c may take from the queue now.
func (q *queue) serves(c *consumption) bool { return !q.ordered || q.active() == c }

// detach takes c off the queue; a temporary queue goes with its last consumer.
func (q *queue) detach(c *consumption) {
	if i := slices.Index(q.consumers, c); i >= 0 {
		q.consumers = slices.Delete(q.consumers, i, i+1)
	}
	switch {
	case len(q.consumers) > 0:
	case q.temporary:
		q.broker.remove(q)
	default:
		// What has expired meanwhile goes by itself from now on.
		for _, it := range slices.Concat(q.fresh[q.head:], q.back) {
			if it.state != gone && !it.expires.IsZero() {
				q.broker.schedule.cancel(it)
				q.watch(it)
			}
		}
	}
}
