// Package transport is the interface between the runtime and the brokers: what a driver must give, what it may
// give on top, and how it is opened by URL.
//
// The currency is Watermill's. A [Transport] hands out a [message.Publisher] and, for one [Subscription], a
// [message.Subscriber]; both run in anybody's Watermill Router. What the runtime needs beyond that stands in two
// optional interfaces that it looks for once, when the transport is opened:
//
//   - [Sender] publishes with a completion callback, so that many sends share one window of confirms.
//   - [Consumer] hands out deliveries that are settled with a callback, any number at once and in any order.
//
// A driver that has them gets its Watermill pair for free from [NewPublisher] and [NewSubscriber]. A third-party
// Watermill pair becomes a Transport with [Wrap]; [SenderOf] and [ConsumerOf] then adapt it, and its
// [Capabilities] say what is lost.
//
// # Names
//
// Topics and groups arrive as physical names: the runtime has put the namespace in front. [QueueName] and
// [DeadName] say how they become the names of queues.
//
// # Who retries, who wraps
//
// A driver reconnects by itself, sends what is unresolved again under the same message id while the send lives,
// and never retries a handler. It returns the sentinels of this package, wrapped in what it knows, and logs
// nothing above debug but the loss and return of its connection: the runtime does the rest, once.
package transport
