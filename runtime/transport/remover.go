package transport

import (
	"context"
	"errors"
)

// ErrInUse means that a queue has consumers or messages, and so it was not removed.
var ErrInUse = errors.New("the queue is in use")

// Remover deletes queues by name, for operators' tools. It is an optional ability of a [Transport].
type Remover interface {
	// Remove deletes a queue with its bindings and what it holds, and returns how many messages that were. Without
	// force, a queue that has consumers, or messages of whatever state, stays and the error is [ErrInUse]. A queue
	// that does not exist is [ErrUnroutable]. A queue of which the broker cannot tell what it holds stays too, with another error.
	Remove(ctx context.Context, queue string, force bool) (messages int, err error)
}
