// Package async is the runtime of protoc-gen-async: typed publishers, clients and subscribers over a message broker.
//
// Programs rarely call this package's generic types themselves. They annotate the rpcs of a .proto, generate code, and use
//
//   - [Open], [Runtime.Run] and [Runtime.Close]: the life of a runtime;
//   - the generated New…Publisher, New…Client, New…Subscriber and Register…Handler, which take a [Runtime];
//   - options, verdicts and errors of this package.
//
// # Sending
//
// A send is over when the broker has stored the message. The synchronous form waits for that; the asynchronous form returns a
// [Receipt]; a batch waits for all its messages. A request is a send and a reply: [Client], [Call].
//
// # Receiving
//
// A handler is called when a message arrives (push); Receive and All wait for one (pull). What a handler returns is its verdict:
// nil acknowledges, an error tries again later and in the end makes a dead letter, [Reject], [RetryAfter] and [Drop] say it in
// one word. Nothing is acknowledged before its handler has returned, so a message may be handled more than once: handlers
// should be idempotent. [InfoFrom] tells a handler the message's id, attempt and headers.
//
// # Configuration
//
// One URL chooses the broker: [WithURL], the environment variable ASYNC_TRANSPORT, or a file ([WithConfigFile]). The driver of its
// scheme must be imported; memory is always there.
package async
