package async

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
)

// Interceptor wraps what is sent and what is handled. A nil function wraps nothing. Interceptors run in the order given,
// the first outermost. Its functions are called once for each rpc when it is bound, and what they return is called from
// many goroutines at once.
type Interceptor struct {
	// Send wraps the sending of one message: events, commands and requests, not replies.
	Send func(next SendFunc) SendFunc
	// Handle wraps the handling of one message, after it was decoded and validated. Batch handlers are not wrapped; a
	// pulled delivery is wrapped by its Process method.
	Handle func(next HandleFunc) HandleFunc
}

// SendFunc sends one message. It returns when the transport has taken the message; the receipt resolves with the broker's
// answer, or has resolved already if the message was refused. It never returns nil.
type SendFunc func(ctx context.Context, out *Outgoing) *Receipt

// HandleFunc handles one message. For an event or command the reply is nil and the error is the verdict; for a request
// the reply is set or the error is.
type HandleFunc func(ctx context.Context, in *Incoming) (proto.Message, error)

// Outgoing is a message on its way out. An interceptor may change it before it calls next, and not afterwards.
type Outgoing struct {
	// Spec is the rpc. It is shared: do not change it.
	Spec *Spec
	// Message is the input. It belongs to the caller.
	Message proto.Message
	// ID is the message id; Key the ordering key, "" if none.
	ID, Key string
	// Topic is the physical topic.
	Topic string
	// Headers are the user's headers; nil when there are none.
	Headers Headers
	// Metadata is written to the wire as it is and wins over what the runtime writes itself, but for key, deadline and reply
	// address: the place for trace context. It is nil until somebody sets it.
	Metadata map[string]string
	// Async is true when the caller does not wait for the receipt.
	Async bool

	options sendOptions
	life    context.Context
	call    *callState
	batch   *batchObservation // nil for a single message
	created time.Time         // when the observed send began; zero is now

	observation *sendObservation // nil when nobody observes
}

// Incoming is a message that is being handled.
type Incoming struct {
	// Spec is the rpc. It is shared: do not change it.
	Spec *Spec
	// Message is the decoded input. It belongs to the handler.
	Message proto.Message
	// Info is what else is known.
	Info *Info
	// Metadata is the wire metadata: the place of trace context. Do not change it.
	Metadata map[string]string
}

func chainSend(interceptors []Interceptor, next SendFunc) SendFunc {
	for _, interceptor := range slices.Backward(interceptors) {
		if interceptor.Send != nil {
			next = interceptor.Send(next)
		}
	}
	return next
}

func chainHandle(interceptors []Interceptor, next HandleFunc) HandleFunc {
	for _, interceptor := range slices.Backward(interceptors) {
		if interceptor.Handle != nil {
			next = interceptor.Handle(next)
		}
	}
	return next
}
