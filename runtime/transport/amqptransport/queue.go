package amqptransport

import "slices"

// queue holds sends in the order of their places. The zero value is empty.
type queue struct {
	sends []*send
	first int
}

func (q *queue) len() int { return len(q.sends) - q.first }

// items is valid until the queue changes.
func (q *queue) items() []*send { return q.sends[q.first:] }

func (q *queue) head() *send {
	if q.len() == 0 {
		return nil
	}
	return q.sends[q.first]
}

func (q *queue) push(s *send) {
	if q.first > len(q.sends)/2 && len(q.sends) == cap(q.sends) {
		kept := copy(q.sends, q.sends[q.first:])
		clear(q.sends[kept:])
		q.sends, q.first = q.sends[:kept], 0
	}
	q.sends = append(q.sends, s)
}

func (q *queue) pop() {
	q.sends[q.first] = nil
	q.first++
	if q.first == len(q.sends) {
		q.sends, q.first = q.sends[:0], 0
	}
}

// remove takes s out, wherever it stands. It is cheap for the head.
func (q *queue) remove(s *send) {
	if q.head() == s {
		q.pop()
		return
	}
	if i := slices.Index(q.items(), s); i >= 0 {
		q.sends = slices.Delete(q.sends, q.first+i, q.first+i+1)
	}
}

// restore puts sends, which are in the order of their places, back where they stood.
func (q *queue) restore(sends []*send) {
	if len(sends) == 0 {
		return
	}
	rest := q.items()
	all := make([]*send, 0, len(sends)+len(rest))
	for len(sends) > 0 && len(rest) > 0 {
		if sends[0].place < rest[0].place {
			all, sends = append(all, sends[0]), sends[1:]
		} else {
			all, rest = append(all, rest[0]), rest[1:]
		}
	}
	q.sends, q.first = append(append(all, sends...), rest...), 0
}
