package async

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// Telemetry observes what becomes of every message: package asyncotel makes traces and metrics of it. Interceptors are the
// users' tool; this is for what has to see each hand-over, retry and settlement as well.
type Telemetry interface {
	// Observe is called once for each rpc that is sent or called, and once for each binding, before their first message. It
	// is the place to prepare what all messages of the endpoint share.
	Observe(e Endpoint) Observer
}

// LogMarker is a [Telemetry] that marks what the runtime logs with the trace that it belongs to.
type LogMarker interface {
	// LogHandler returns what the runtime logs to in the place of next, the handler of its logger. It is called once, by [Open], if there is
	// a logger.
	LogHandler(next slog.Handler) slog.Handler
}

// Endpoint is one end of an rpc on a transport. New fields may be added.
type Endpoint struct {
	// Spec is the rpc. It is shared: do not change it.
	Spec *Spec
	// Transport carries it. Its [transport.Describer], if it is one, names what its system calls a destination.
	Transport transport.Transport
	// Topic is the physical topic.
	Topic string
	// Subscription is nil where messages are sent.
	Subscription *transport.Subscription
	// TraceMode is what [WithTraceMode] or else the contract says.
	TraceMode TraceMode
	// Chosen is true if TraceMode is that of [WithTraceMode]: what a message wishes does not change it.
	Chosen bool
	// Batch is true for a batch handler.
	Batch bool
}

// Observer has a function for each thing that can happen at an [Endpoint]; a nil function observes nothing, and costs nothing. Its
// functions are called from many goroutines at once. They may return nil for an operation that is not observed. What they
// get belongs to the runtime, and may be read until the operation has ended, or until the function has returned nil. New functions
// may be added.
type Observer struct {
	// Send is called for a message of the user's, after the interceptors and before it is encoded. It may set the metadata of
	// the message. The operation ends with the receipt, before anybody who waits for it goes on.
	Send func(ctx context.Context, s *Sending) Operation
	// Encoded is called with what Send has returned when the message is encoded, before it is handed over. It may write to the
	// metadata of the message, and keeps nothing of it.
	Encoded func(sending Operation, msg *message.Message)
	// BeginBatch is called before the first message of a batch is sent. If it returns an operation, the messages are sent within
	// that, SendBatch is not called, and the operation ends with the batch.
	BeginBatch func(ctx context.Context, s *SendingBatch) Operation
	// SendBatch is called after all messages of a batch were handed over.
	SendBatch func(ctx context.Context, s *SendingBatch) Operation
	// Call is called for a request before it is sent; the operation ends with the call.
	Call func(ctx context.Context, c *Calling) Operation
	// Receive is called when a pulled message, or a reply, is about to be handed to who waits for it.
	Receive func(ctx context.Context, r *Receiving) Operation
	// ReceiveNone is called when a pull ends without a message, since start.
	ReceiveNone func(ctx context.Context, start time.Time) Operation
	// Process is called before a handler: of one message, with all its attempts in process, or of a batch. The operation
	// ends, with the time at which the handler was done, when it is known what becomes of the message.
	Process func(ctx context.Context, r *Receiving) Operation
	// Entry is called with what Process has returned for a batch, for each of its entries, which are numbered from 0, before the handler is called. The operation
	// ends, with the time at which the verdict on the entry was given, when it is known what becomes of it: that may be before or
	// after the batch's handling ends. It is the Parent of what follows from the entry. From the moment that an entry is handed
	// to Delivery.Process, that is observed in its place, and its operation does not end.
	Entry func(batch Operation, n int) Operation
	// Attempt is called with what Process has returned before each call of a handler of single messages. number is that of the
	// call, from 1. The operation ends with the call, and its context is the handler's.
	Attempt func(process Operation, number int) Operation
	// Resend is called before the runtime itself sends: a retry, a dead letter, a reply. It may write to the metadata of the
	// message.
	Resend func(r *Resending) Operation
	// Retried is called each time a message gets its next attempt that was held back in the process, and not stored again, nor tried
	// again at once.
	Retried func()
	// Settle is called before a delivery is settled, unless Process has returned nil for it; the operation ends when the transport
	// reports that it is.
	Settle func(s *Settling) Operation
	// Interrupted is called each time fetching is interrupted: a channel, a queue or the connection was lost. It goes on by
	// itself.
	Interrupted func(err error)
}

// Operation is something under way that is observed.
type Operation interface {
	// Context returns parent with what belongs to the operation. It may be called at any time, also after End.
	Context(parent context.Context) context.Context
	// End is called once. It must not block.
	End(r Result)
}

// Result is how an operation ended. New fields may be added.
type Result struct {
	// Err is nil on success. For a handler it is its verdict.
	Err error
	// At is when it ended; zero is now.
	At time.Time
	// Returned is when an asynchronous send gave its caller the receipt; zero for all others.
	Returned time.Time
	// Attempt is the number of the handler's last call, from 1; Tries is how many calls this operation saw.
	Attempt, Tries int
	// Fate is what became of a handled message.
	Fate Fate
}

// Fate is what becomes of a delivery, as traces tell it.
type Fate string

// The fates of a delivery. The zero value stands for a batch, whose entries may have different ones.
const (
	// FateAck: handled, or dropped by its handler.
	FateAck Fate = "ack"
	// FateRequeue: put back for another consumer, uncounted.
	FateRequeue Fate = "nack_requeue"
	// FateRetry: stored for another attempt.
	FateRetry Fate = "retry"
	// FateDeadLetter: stored as a dead letter.
	FateDeadLetter Fate = "dead_letter"
	// FateReject: failed for good, where there are no dead letters.
	FateReject Fate = "reject"
)

// Sending is a message that is being sent.
type Sending struct {
	Outgoing *Outgoing
	Start    time.Time
	// CorrelationID belongs to a request's reply; empty for all others.
	CorrelationID string
	// Batch is true for a message of a batch.
	Batch bool
	// Within is what BeginBatch has returned for the batch; nil if there was nothing.
	Within Operation
}

// SendingBatch is a batch that is being sent.
type SendingBatch struct {
	Spec  *Spec
	Start time.Time
	// Size is how many messages it has.
	Size int
	// Messages are what Send returned for each message of the batch; nil for those that were refused before.
	Messages []Operation
}

// Calling is a request with its reply.
type Calling struct {
	Spec  *Spec
	Start time.Time
}

// Receiving is what was received: one delivery, or those of a batch.
type Receiving struct {
	// Start is when the receiver began to wait, or the handler's work began.
	Start      time.Time
	Deliveries []ReceivedDelivery
	// Reply is true for the reply to a call, which came from the address Source.
	Reply  bool
	Source string
	// Received is true for what Receive, or the Process of a batch, was told of before.
	Received bool
}

// ReceivedDelivery is one message that was received.
type ReceivedDelivery struct {
	Message *message.Message
	// Delivery is nil on a Watermill router.
	Delivery transport.Delivery
	// Attempt is the number of the handler's next call for this message, from 1.
	Attempt int
}

// Purpose is why the runtime itself sends a message.
type Purpose uint8

// The purposes.
const (
	// PurposeRetry stores a message for its next attempt.
	PurposeRetry Purpose = iota + 1
	// PurposeDeadLetter stores one that failed for good.
	PurposeDeadLetter
	// PurposeReply answers a request.
	PurposeReply
	// PurposeProduce sends what a Watermill middleware produced.
	PurposeProduce
	// PurposeAside puts a dead letter out of the way that the queue of dead letters does not take; it comes again for that.
	PurposeAside
)

// Resending is a message that the runtime itself sends on behalf of a delivery.
type Resending struct {
	Purpose     Purpose
	Publication transport.Publication
	Message     *message.Message
	// Cause is the delivery's message.
	Cause *message.Message
	// Parent is what Process or Receive returned for the delivery; nil if there was nothing.
	Parent Operation
}

// Settling is a delivery that is being settled.
type Settling struct {
	Outcome  transport.Outcome
	Delivery transport.Delivery
	Message  *message.Message
	// Parent is what Process or Receive returned for the delivery; nil if there was nothing.
	Parent Operation
}

// telemetries are what configuration files can name.
var telemetries struct {
	mu     sync.Mutex
	byName map[string]func() Telemetry
}

// RegisterTelemetry makes a telemetry known by the name that the key telemetry of a configuration file gives it. open is called by
// every [Open] with such a file. It is for the init of a package, as that of asyncotel, and panics if the name is taken.
func RegisterTelemetry(name string, open func() Telemetry) {
	telemetries.mu.Lock()
	defer telemetries.mu.Unlock()
	if telemetries.byName == nil {
		telemetries.byName = make(map[string]func() Telemetry)
	}
	if telemetries.byName[name] != nil {
		panic("async: the telemetry " + name + " is registered twice")
	}
	telemetries.byName[name] = open
}

// openTelemetry returns the telemetry that the configuration names; nil if it names none, or one that is not in this program.
func openTelemetry(name string) Telemetry {
	telemetries.mu.Lock()
	open := telemetries.byName[name]
	telemetries.mu.Unlock()
	if open == nil {
		return nil
	}
	return open()
}

// WithTelemetry has t observe the runtime. It wins over the key telemetry of the configuration. By default nothing is observed.
func WithTelemetry(t Telemetry) Option {
	return optionFunc(func(o *runtimeOptions) { o.telemetry = t })
}

// WithTraceMode says how the traces of this subscription's handlers relate to the senders'. It wins over the contract's
// policy. Without telemetry it means nothing.
func WithTraceMode(m TraceMode) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.trace = m })
}
