package async

import "sync/atomic"

// counters is what happened to messages that no caller hears of.
type counters struct {
	unrouted, lateReplies, lostReplies, expired, dropped, deadLettered, deadLetterFailures, retried, interruptions atomic.Uint64
}

// Stats is a snapshot of what happened to messages since Open, beyond what callers and handlers see.
type Stats struct {
	// Unrouted counts events that no group had subscribed to.
	Unrouted uint64
	// LateReplies counts replies that came after their call had ended; LostReplies those whose caller was gone.
	LateReplies, LostReplies uint64
	// Expired counts messages whose deadline had passed before they were handled.
	Expired uint64
	// Dropped counts messages that a handler dropped, or that failed for good where dead letters are disabled.
	Dropped uint64
	// DeadLettered counts messages that were stored as dead letters.
	DeadLettered uint64
	// DeadLetterFailures counts the tries to store a dead letter that failed. While it grows, the queue of dead letters is full or
	// cannot be reached; nothing is lost, see [ErrBlocked] and the log for the cause.
	DeadLetterFailures uint64
	// Retried counts failed attempts that were put back to be tried again.
	Retried uint64
	// Interruptions counts how often a subscription lost its channel, its queue or its connection, and began again.
	Interruptions uint64
}

// Stats returns the counts so far.
func (rt *Runtime) Stats() Stats {
	c := &rt.counters
	return Stats{
		Unrouted:     c.unrouted.Load(),
		LateReplies:  c.lateReplies.Load(),
		LostReplies:  c.lostReplies.Load(),
		Expired:      c.expired.Load(),
		Dropped:      c.dropped.Load(),
		DeadLettered: c.deadLettered.Load(),
		Retried:      c.retried.Load(),

		DeadLetterFailures: c.deadLetterFailures.Load(),
		Interruptions:      c.interruptions.Load(),
	}
}
