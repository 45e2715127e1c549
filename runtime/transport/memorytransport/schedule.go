package memorytransport

import "time"

// schedule is a heap of items by the time when something happens to them: a delay ends, a message expires. Each entry has
// four children and its time beside it: finding the next of a hundred thousand retries touches few cache lines.
type schedule []event

// event is one item and when it is due, since the broker was made.
type event struct {
	at   time.Duration
	item *item
}

// children is how many entries are below each.
const children = 4

func (h *schedule) add(it *item, at time.Duration) {
	*h = append(*h, event{at: at, item: it})
	h.up(len(*h) - 1)
}

// pop removes the item that is due first.
func (h *schedule) pop() *item {
	it := (*h)[0].item
	h.remove(it)
	return it
}

// remove takes an item out, if it is in.
func (h *schedule) remove(it *item) {
	i := it.place
	if i < 0 {
		return
	}
	it.place = -1
	last := len(*h) - 1
	moved := (*h)[last]
	(*h)[last] = event{}
	*h = (*h)[:last]
	if i == last {
		return
	}
	(*h)[i] = moved
	h.down(i)
	h.up(moved.item.place)
}

// up moves the entry at i to its place among those above it.
func (h *schedule) up(i int) {
	events := *h
	e := events[i]
	for i > 0 {
		parent := (i - 1) / children
		if events[parent].at <= e.at {
			break
		}
		events.set(i, events[parent])
		i = parent
	}
	events.set(i, e)
}

// down moves the entry at i to its place among those below it.
func (h *schedule) down(i int) {
	events := *h
	e := events[i]
	for {
		first := i*children + 1
		if first >= len(events) {
			break
		}
		least := first
		for j := first + 1; j < min(first+children, len(events)); j++ {
			if events[j].at < events[least].at {
				least = j
			}
		}
		if e.at <= events[least].at {
			break
		}
		events.set(i, events[least])
		i = least
	}
	events.set(i, e)
}

func (h schedule) set(i int, e event) {
	h[i] = e
	e.item.place = i
}
