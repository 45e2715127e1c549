// Package amqptransport carries messages over RabbitMQ (3.10 or newer) by AMQP 0-9-1. Importing it registers the URL
// schemes amqp and amqps.
//
// # What topic and group become
//
// A topic is a durable exchange of type topic with the topic's name; the routing key of a message is its
// [transport.Publication].RoutingKey. A group is a durable quorum queue <topic>--<group>, bound with "#" to the
// exchange of the topic and of each alias, with arguments that never depend on what is tuned:
//
//	x-queue-type               quorum
//	x-delivery-limit           100
//	x-overflow                 reject-publish
//	x-dead-letter-exchange     ""
//	x-dead-letter-routing-key  <topic>--<group>--dead
//	x-dead-letter-strategy     at-least-once
//	x-single-active-consumer   true, for ordered subscriptions only
//
// Beside it stands the quorum queue <topic>--<group>--dead, with x-delivery-limit 2147483647, so that looking at dead
// letters never uses them up. A broadcast group is a classic queue that goes away 60 s
// after its last consumer; so does a reply address, which has no exchange. With the option queue_type=classic the
// group queue and the dead-letter queue are classic, without the arguments that only quorum queues know
// (x-delivery-limit, x-dead-letter-strategy).
//
// Delayed messages wait on a ladder that all applications of a vhost share: the durable quorum queues async.delay.0 to
// async.delay.19, whose messages wait 1, 2, 4, … seconds, exchanges of the same names, async.delay.deliver at the foot
// and the queue async.delay.parked ([ParkedQueue]). Every group queue is bound to the foot.
//
// A queue or exchange that exists with other properties is a [*transport.TopologyError]. The declare modes are those
// of [transport.Declare]; verify cannot see bindings, because AMQP has no way to ask for them. With create, whoever
// first declares a group makes the ladder, and later ones look at its top and its queues; a user without the right to
// make it may use one that is there, with the right to read async.delay.deliver, to bind, and to write to
// async.delay.*. With verify and none the ladder and the bindings to its foot must be there already: docs/wire.md
// lists them. A group queue without those bindings gets no delayed message and no retry; they are parked.
//
// # URL and options
//
// amqp://user:password@host:port/vhost, or amqps for TLS. Several hosts are separated by commas and tried in turn.
// Without a path the vhost is "/"; a vhost whose name holds a slash writes it as %2F. Without a user it is guest, or,
// with a client certificate, the name in the certificate (SASL EXTERNAL). Plain text to a host that is not this
// machine is refused unless [transport.Config].Insecure allows it. The options, in the URL's query or beside it:
//
//	heartbeat   interval of the connection's heartbeat, default 10s; a dead peer is noticed after one and a half
//	window      sends that wait for the broker's answer at once, in all, default 1024
//	channels    how many channels publish, default 4; the messages of one key, or of one topic without keys, stay on one
//	queue_type  quorum (default) or classic, for the queues of groups and dead letters
//
// [WithConfig] gives an experienced user the whole of watermill-amqp's configuration. [NewPublisher] and [NewSubscriber]
// take such a configuration as it is, for programs that come from watermill-amqp.
//
// # Delivery
//
// Two connections, one to publish and one to consume, reconnect by themselves: with random pauses of at most 2 s while
// nobody listens or says a word, and of 100 ms to 10 s while the broker refuses; a connection that ends within 5 s without having
// carried anything does not shorten them again. A send resolves with the broker's
// confirm: every message is persistent and every publishing channel is in confirm mode. A send whose connection broke
// before the answer is sent again with the same message id while its context lives. A message that the broker refuses
// by closing the channel fails alone: the others that were under way on that channel are sent again one by one. One that
// is larger than the broker's max_message_size is [transport.ErrTooLarge].
//
// A message that the broker refuses with a nack is [transport.ErrNacked] and stored nowhere: its queue is full, or has no
// leader at the moment. The channel that it went over takes no more messages, and is replaced as soon as everything on it
// is answered, or after 2 s; that happens at most once a second. In a cluster, write several hosts into the URL. Where a
// node is killed or hangs with the leaders of quorum queues, sends fail, as [transport.ErrBlocked],
// [transport.ErrUnknown] or [transport.ErrNacked], until there are new leaders, and go on by themselves. How long a node
// that hangs goes unnoticed is the broker's setting net_ticktime, by default a minute.
//
// While the broker is short of memory or disk it takes nothing ([transport.ErrBlocked]). A message that had been
// written by then resolves with an error that is both [transport.ErrUnknown] and [transport.ErrBlocked].
//
// A delivery is unacknowledged until it is settled. When its channel is lost, its context ends with
// [transport.ErrDeliveryLost] and the broker hands the message out again. A lost delivery still counts against the
// prefetch until it is settled, so that a receiver is never handed more than it asked for. Whoever never settles what was
// lost gets that much less.
//
// A quorum queue that has lost its leader gives no answer to who wants to consume it, and RabbitMQ ends the connection of
// whoever waits for a minute. After twice the heartbeat, and 30 s at most, [Transport.Report] and a warning say so, and the
// queue is asked again on a connection of its own, so that other subscriptions lose theirs once at most.
//
// The wire format is watermill-amqp's: metadata as string headers, the UUID in _watermill_message_uuid. The native
// properties message-id, type, content-type, correlation-id, reply-to and timestamp are set as well, and a program
// that knows only these can take part; see [Marshaler].
//
// # Order
//
// Messages of one key leave on one channel, in the order of the calls to Send; so do those of one topic that have no
// key. What the broker gives back, because somebody deleted a queue or a binding, keeps its place: everything that needs the
// same exchange waits until the broker has answered what is on its way, the missing is declared again, and then all goes out in
// order. An ordered group has a single active
// consumer at the broker.
//
// # Retries, delay, dead letters
//
// The transport retries no handler and lets no message expire. A delay, of up to 12 days, is rounded up to whole
// seconds and never ends early, as far as the broker's clock runs evenly; a long one holds no other back. It survives
// the end of the broker, after which a message may come late or twice. A delayed message to a topic reaches the groups that it
// has at the end of the delay. When there is none, or the one group or queue that it was sent to has gone, it goes to the
// queue async.delay.parked and stays there; nothing empties that queue but its operator. A mandatory message is
// [transport.ErrUnroutable] when its one queue does not exist at the start of the delay. When the ladder itself has a
// gap that is not repaired (create repairs it), every delayed message that needs it is [transport.ErrTopology] as well.
//
// A broker that starts forwards what is due before it knows all its bindings. What finds no way then stays on the ladder,
// with what comes due behind it, until the broker looks again: after 3 minutes, or the milliseconds that the setting
// dead_letter_worker_publisher_confirm_timeout of the application rabbit gives; 10 seconds are enough. And a delayed
// event that is forwarded in that moment reaches only those groups whose bindings are known already; a retry or a
// command, which has one target, is not concerned.
//
// A message that was handed
// out 100 times without an acknowledgement goes to the dead-letter queue by the broker's own hand. What counts is every
// delivery that was out when its process ended: a message that ends the process again and again takes along those that are
// handed out beside it. A classic queue does not count, and hands such a message out for ever. Headers that the
// broker adds on the way there (x-death, x-first-death-*) are neither handed out nor published again: with them the
// broker would take a replay, or the next delay, for a cycle and drop it without a word.
//
// # Close
//
// Close stops every consumption and gives back what is out, waits up to a second for the confirms of what was
// written, resolves the rest, and closes the connections. A connection that does not answer is cut.
package amqptransport
