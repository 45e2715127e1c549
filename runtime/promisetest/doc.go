// Package promisetest proves that a runtime on a transport keeps what it promises of a message: verdicts, retries, delays, dead
// letters, replay, order, deduplication, groups, drain, batches and limits. It is the second half of the conformance suite,
// one level above package transporttest: a driver's tests call both, and so may the author of a wrapped Watermill pair.
//
// Each row of [Run] is kept, or, where the transport does not claim what it takes, refused with [transport.ErrUnsupported]. A message
// that is lost, repeated, misplaced or early is a failure. The suite waits up to ten seconds for what must happen.
package promisetest
