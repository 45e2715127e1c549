// Package transporttest proves that a transport keeps the contract of package transport. A driver's tests call [Run]
// with a [Harness]; so may the author of a wrapped Watermill pair.
//
// The suite is driven by the transport's capabilities: what is claimed is proven, native and emulated alike; what is
// not claimed must be refused with [transport.ErrUnsupported] wherever it can be asked for. It waits up to ten seconds
// for what must happen and a fraction of a second for what must not, and assumes nothing else about time.
//
// At its end the suite prints the table of what it has proven ([Harness].Proven). A claimed ability that none of its tests proves is a
// failure. What it cannot show is that Durable holds when the broker itself is killed: that takes a broker of one's own.
//
// Watermill's own suite, pubsub/tests, is a second proof that drivers run beside this one.
package transporttest
