// Package gochanneltransport wires publishers and subscribers of one process together over Watermill's gochannel, for
// programs that know it. Nothing is kept and nothing is bounded; the memory transport behaves as a broker does.
//
// # What topic and group become
//
// A topic is a topic of gochannel. A group is one shared subscription inside the process, to its topic, its aliases and
// a topic called "<topic>--<group>", which is how a message is sent to one group. It is made when the group is declared
// or first consumed, and collects messages from then on, until the transport closes. An old name of a group, declared
// as an alias, becomes another name of the same subscription.
//
// # URL and options
//
// "gochannel://". There is no host, no path and no option: every transport is a gochannel of its own.
//
// # Delivery
//
// Gochannel has known traps: two goroutines for each message that is not acked yet, messages in any order, publishers
// and subscribers that block each other for ever when it is told to wait for acks, and silence when nobody listens. So
// it is never told to wait, a group acks to gochannel as soon as it has a message, and the group does the rest: it
// shares its messages among its consumers, hands out again what they put back, and holds what they have no room for, in
// a list without a bound. A mandatory message that no group takes is [transport.ErrUnroutable]. Payloads are shared
// by all who receive them: do not write to them. Plain Watermill subscriptions of one subscriber to one topic with
// context.Background share a channel, so that one that nobody reads any more holds no messages.
//
// # Order
//
// None. An ordered subscription is refused with [transport.ErrUnsupported].
//
// # Retries, delay, dead letters
//
// A delay is a timer in the process. A dead letter is published to the dead topic, which is subscribed to when its
// group is declared and collects like a group. An expired message is left to the runtime, which drops it.
//
// # Close
//
// Close stops the timers and drops every message that is not settled: none comes back in another transport.
package gochanneltransport
