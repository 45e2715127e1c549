package transport

import (
	"context"
	"errors"
)

// ErrNotCounted means that the broker does not know at present what is in a queue, and says so or says that it is empty.
// RabbitMQ does while the leader of a quorum queue does not answer. Other queues are not concerned.
var ErrNotCounted = errors.New("the broker does not know how many messages and consumers the queue has")

// Browser looks into queues by name, for operators' tools and for tests. It is an optional ability of a [Transport].
type Browser interface {
	// Queues describes the queues with these names, in this order, without those that do not exist. Without
	// names it lists every queue in alphabetical order, or returns [ErrUnsupported] where a broker cannot. A queue
	// that exists but cannot be looked into is [ErrNotCounted]; ask for the others without it.
	Queues(ctx context.Context, names ...string) ([]QueueInfo, error)
	// Take takes up to limit messages off the head of a queue and leaves them unsettled: [Ack] removes one,
	// [Requeue] puts it back where it was. To peek is to take and to requeue. What is not settled goes back at
	// the transport's Close. It does not wait: an empty queue gives no delivery and no error. A queue that does
	// not exist is [ErrUnroutable].
	Take(ctx context.Context, queue string, limit int) ([]Delivery, error)
}

// QueueInfo describes one queue.
type QueueInfo struct {
	Name string
	// Ready is how many messages wait, Unsettled how many are handed out, Delayed how many wait for their time.
	Ready, Unsettled, Delayed int
	// Consumers is how many consumptions are attached.
	Consumers int
}
