package transport

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Transport carries messages. Every method may be called from many goroutines at once.
//
// Wider abilities are optional interfaces: [Sender], [Consumer], [Declarer], [Reporter].
type Transport interface {
	// Capabilities says what this transport can do. It is constant for the life of the transport.
	Capabilities() Capabilities

	// Publisher returns the plain Watermill publisher. Its Publish returns when the broker has taken every
	// message. Its Close does not close the transport.
	Publisher() message.Publisher

	// Subscriber returns a plain Watermill subscriber for s. The topic given to its Subscribe takes the place
	// of s.Topic. Its Close ends its own subscriptions and not the transport.
	Subscriber(s Subscription) (message.Subscriber, error)

	// Close ends every consumption, resolves every send that is still open (with [ErrClosed], or [ErrUnknown]
	// where the broker may have it) and frees the connections. When ctx ends first, it closes hard and returns
	// the cause. It is idempotent.
	Close(ctx context.Context) error
}

// Sender publishes with a completion callback.
type Sender interface {
	// Send hands msg over. It blocks while the transport's window is full, until ctx ends or p.Deadline
	// passes; with p.NoWait it returns [ErrBacklog] instead of waiting.
	//
	// When Send returns an error, the message was not taken and done is never called. When it returns nil, done
	// is called exactly once, at the latest shortly (100 ms) after p.Deadline, from any goroutine, possibly
	// before Send has returned. done must not block. A nil error means that the broker has stored the message.
	//
	// msg.Context() is the life of the send: while it lives, a send whose connection broke before the answer is
	// sent again with the same message id; when it has ended, such a send resolves with [ErrUnknown], and a driver may
	// resolve every other send that is still without an answer in the same way.
	//
	// The transport owns msg, its metadata and its payload until done is called, for good if p.Given is set. It may read
	// but not write them. Nobody acks or nacks msg.
	Send(ctx context.Context, p Publication, msg *message.Message, done func(error)) error
}

// Publication says where a message goes and how. New fields may be added; their zero value keeps today's meaning.
type Publication struct {
	// Topic is the physical topic. Every group of the topic gets the message, unless Group or Direct is set.
	Topic string
	// Group, if set, sends to the queue of this one group of Topic: a retry or a replay.
	Group string
	// Direct sends to the queue that is called Topic itself: a dead-letter queue or a reply address.
	Direct bool
	// RoutingKey lets a broker tell the event types that share a topic apart; it is the message's ce-type.
	RoutingKey string
	// Key orders: messages with the same key, handed over one after the other, are stored in that order.
	Key string
	// Mandatory makes a message that no queue takes resolve with [ErrUnroutable]. Without it such a message
	// resolves with nil.
	Mandatory bool
	// Delay keeps the message from its consumers for at least this long. It needs Capabilities.Delay.
	Delay time.Duration
	// Expires is when the message loses its value; zero is never. A driver may drop it then; the consumer's
	// runtime checks async-deadline in any case.
	Expires time.Time
	// Deadline is when the send must have resolved; zero is never.
	Deadline time.Time
	// Given makes msg, its metadata and its payload the transport's for good: it may keep them instead of copies.
	Given bool
	// NoWait refuses with [ErrBacklog] instead of waiting for a place in the window.
	NoWait bool
}

// Kind says what a subscription is for.
type Kind uint8

// The kinds of subscriptions.
const (
	// KindEvent is fan-out: every group has a queue of its own.
	KindEvent Kind = iota + 1
	// KindCommand has one group, known from the contract.
	KindCommand
	// KindRequest is a command with a reply.
	KindRequest
	// KindReply is the private inbox of one runtime: Topic is its address, Group is empty. It is made for the
	// subscription, survives a reconnect, and goes away 60 s after its owner.
	KindReply
)

// Subscription describes the queue of one group and how it is consumed. New fields may be added; their zero value
// keeps today's meaning.
//
// What the queue is made of (its arguments on a broker) may depend only on Topic, Group, Kind, Ordered and
// Broadcast, never on what is tuned: Concurrency, Prefetch and DeadTopic may change between two starts.
type Subscription struct {
	// Topic is the physical topic; Aliases are old names of it that the same queue is bound to as well.
	Topic   string
	Aliases []string
	// Group shares the messages of the topic among its consumers. GroupAliases are old names of the group,
	// whose queues are consumed too where they still exist.
	Group        string
	GroupAliases []string
	// Kind says what the subscription is for.
	Kind Kind
	// Ordered allows one active consumer at a time, and hands messages out in the order they were stored.
	Ordered bool
	// Concurrency is how many deliveries are handled at once; at least 1.
	Concurrency int
	// Prefetch bounds the deliveries that were handed out and are not settled; at least Concurrency. Zero means
	// Concurrency.
	Prefetch int
	// DeadTopic is the queue for what fails for good, declared together with the group's queue; empty for none.
	DeadTopic string
	// ReadOnly promises that the receiver neither writes to the metadata and the payload of its messages, which may then
	// be shared with other receivers, nor acks or nacks them or asks whether somebody did.
	ReadOnly bool
	// Broadcast makes Group a private, temporary group of this process: its queue goes away with it.
	Broadcast bool
	// Interrupted, if set, is called each time fetching is interrupted: a channel, a queue or the connection was lost. What was
	// out is lost with it, and the consumption goes on by itself. It must not block.
	Interrupted func(error)
}

// Consumer hands out deliveries.
type Consumer interface {
	// Consume declares what s needs (see [Declarer]) and starts to fetch. receive is called for one delivery at
	// a time and must not block: at most s.Prefetch deliveries are out and unsettled at once, so that a channel
	// of that capacity never fills up. After a lost connection the consumption goes on by itself.
	//
	// ctx bounds the start only. The consumption ends with [Consumption.Close] or the transport's Close.
	Consume(ctx context.Context, s Subscription, receive func(Delivery)) (Consumption, error)
}

// Consumption is one running subscription.
type Consumption interface {
	// Stop ends fetching. When it has returned, receive is not called again; deliveries that are out can still
	// be settled. It is idempotent.
	Stop(ctx context.Context) error
	// Close stops, gives back what is out and unsettled, and frees the subscription. It is idempotent.
	Close(ctx context.Context) error
}

// Delivery is one message as handed to one consumer.
type Delivery interface {
	// Message is the wire form. Its context ends when the delivery is lost, with the cause [ErrDeliveryLost]; it may end
	// when the delivery is settled. Deliveries that can only be lost together do well to share one context, which costs
	// the receiver less. The receiver owns the message; Ack and Nack on it mean nothing here.
	Message() *message.Message
	// Redeliveries is how often this message was handed out before, as far as the broker knows; 0 is the first
	// time.
	Redeliveries() int
	// Settle ends the delivery. Only the first call counts. done is called exactly once, when the broker (or
	// the client library, where a broker does not answer) has taken the outcome, with [ErrDeliveryLost] if it
	// cannot be told any more. done may be nil and must not block. Settle does not block.
	Settle(o Outcome, done func(error))
}

// Outcome is what becomes of a delivery at the broker.
type Outcome uint8

// The outcomes of a delivery.
const (
	// Ack removes the message from the queue.
	Ack Outcome = iota + 1
	// Requeue puts it back, to be handed out again.
	Requeue
)

// String returns the name that logs and traces use.
func (o Outcome) String() string {
	switch o {
	case Ack:
		return "ack"
	case Requeue:
		return "requeue"
	default:
		return "unknown"
	}
}

// Declarer makes queues without consuming them.
type Declarer interface {
	// Declare makes the topic, the group's queue with its bindings, and the dead-letter queue of s, or verifies
	// them, as the transport's declare mode says. It is idempotent. A queue that exists with other properties
	// is a [*TopologyError].
	Declare(ctx context.Context, s Subscription) error
}

// Reporter tells the state of the connection to the broker.
type Reporter interface {
	// Report returns nil when messages can be sent and consumed, [ErrBlocked] while the broker takes none, and
	// otherwise what is wrong. It does not wait for the network.
	Report() error
}
