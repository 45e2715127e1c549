// Package memorytransport is a broker inside the process, with a broker's semantics. It is the default transport and
// the one to test with: what an application does on it, it does on RabbitMQ, but for durability.
//
// # What topic and group become
//
// A topic is a name that queues are bound to; a group is a queue, "<topic>--<group>", that holds a copy of every message
// sent to the topic and its aliases since it was declared. Queues exist before, between and after their consumers, as
// long as the broker does. Declaring an alias of a group unbinds the queue of that old name, so that it only drains.
//
// # URL and options
//
// "memory://" is a broker of its own for each transport. "memory://name" is shared by all transports of the process
// that are opened with that name, and goes away with the last of them. [NewBroker] makes one that lives as long as it is
// referred to. The option capacity (default 10000) is how many messages a queue takes; those of transports that share a
// broker must agree.
//
// # Delivery
//
// Consumers of a queue compete; each message goes to one of them. What is put back, by [transport.Requeue] or by the
// close of a consumption, returns to its old place in the queue and counts as redelivered. A message that expires
// leaves its queue at that moment. When a queue is full, a send waits until there is room, its context ends or its
// deadline passes, which is [transport.ErrBlocked]; a message for several queues is stored in all of them or in none.
// Payloads are copied once when they are sent, and then shared by all who receive them: do not write to them.
//
// # Order
//
// Messages are stored in the order in which Send was called. An ordered queue serves one consumer at a time, the one
// that came first, and the next when that one has closed.
//
// # Retries, delay, dead letters
//
// A delayed message is stored, and counts against the capacity, when it is sent; it becomes visible when its time has
// come. A message that failed and waits for its next attempt takes no place from others: a queue has room for ten times its
// capacity of them, and only when that is used up do sends wait until some are through. Dead-letter queues are ordinary queues that no topic is bound to. [Transport.Take] looks into any queue.
//
// # Close
//
// Close puts back what its consumptions hold, ends the sends that wait for room, and leaves the broker to the other
// transports. Temporary queues (reply addresses and broadcast groups) go with their last consumer, at once.
//
// There is no goroutine and no timer while nothing is delayed or expiring, so that a broker made inside a bubble of
// testing/synctest works there with the bubble's time. Do not share one between bubbles.
package memorytransport
