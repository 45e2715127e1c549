package asynctest

import (
	"slices"

	"google.golang.org/protobuf/proto"
)

// Published lists the messages of type M that the broker has stored, in that order; M = [proto.Message] lists all.
// [Runtime.Published] tells more.
func Published[M proto.Message](rt *Runtime) []M {
	return typed[M](rt.Published(), func(p Publication) proto.Message { return p.Message })
}

// Handled lists the messages of type M that a handler handled, one entry for each call that returned nil, in the order in
// which the calls ended; M = [proto.Message] lists all. [Runtime.Attempts] tells more, and lists failures too.
func Handled[M proto.Message](rt *Runtime) []M {
	done := slices.DeleteFunc(rt.Attempts(), func(a Attempt) bool { return a.Verdict != nil })
	return typed[M](done, func(a Attempt) proto.Message { return a.Message })
}

// DeadLetters lists the messages of type M that became dead letters, in that order; M = [proto.Message] lists all that can
// be decoded. [Runtime.DeadLetters] tells more.
func DeadLetters[M proto.Message](rt *Runtime) []M {
	return typed[M](rt.DeadLetters(), func(l DeadLetter) proto.Message { return l.Message })
}

func typed[M proto.Message, E any](entries []E, message func(E) proto.Message) []M {
	var found []M
	for _, e := range entries {
		if msg, ok := message(e).(M); ok {
			found = append(found, msg)
		}
	}
	return found
}

// Published lists what the broker has stored: events, commands and requests, in that order, and not replies.
func (rt *Runtime) Published() []Publication {
	rt.journal.mu.Lock()
	defer rt.journal.mu.Unlock()
	return slices.Clone(rt.journal.published)
}

// Attempts lists the calls of handlers with their verdicts, in the order in which they ended.
func (rt *Runtime) Attempts() []Attempt {
	rt.journal.mu.Lock()
	defer rt.journal.mu.Unlock()
	return slices.Clone(rt.journal.attempts)
}

// DeadLetters lists the messages that failed for good, in that order. Where the contract disables dead letters, such a
// message is dropped, and Stats().Dropped counts it.
func (rt *Runtime) DeadLetters() []DeadLetter {
	rt.journal.mu.Lock()
	defer rt.journal.mu.Unlock()
	return slices.Clone(rt.journal.dead)
}
