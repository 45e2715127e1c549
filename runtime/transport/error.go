package transport

import (
	"errors"
	"fmt"
)

// What a send, a subscription or a delivery can end with. The runtime exports them under the same names.
var (
	// ErrUnroutable: no queue takes the message; it is stored nowhere. Start the consumer, or declare its queue, before
	// sending again: the same send will fail in the same way.
	ErrUnroutable = errors.New("no queue takes this message")
	// ErrNacked: the broker refused the message (a full queue, an internal error); it is not stored. Send it again
	// after a pause; while it stays refused, look at the queue and at the broker's log.
	ErrNacked = errors.New("the broker refused the message")
	// ErrBlocked: the broker takes no messages at present (short of memory or disk, not reached), or the queue stayed
	// full; it is not stored. Send it again later, and let callers wait rather than pile up work.
	ErrBlocked = errors.New("the broker takes no messages at present")
	// ErrUnknown: the connection or the time ended before the broker's answer. The message may be stored or
	// not. Send it again with the same message id, by which a consumer can tell a duplicate.
	ErrUnknown = errors.New("the outcome of the send is unknown")
	// ErrTooLarge: a limit on size was passed; the text names the limit and the value. Do not send it again as it is.
	ErrTooLarge = errors.New("too large")
	// ErrClosed: the transport, or the runtime, was closed; the message is not stored. Send it with another one.
	ErrClosed = errors.New("closed")
	// ErrBacklog: the window was full, and the caller did not want to wait or its time ended; the message is not stored.
	// Send more slowly, or let the call wait; a window that is always full says that the broker is the bottleneck.
	ErrBacklog = errors.New("too many sends are waiting for the broker")
	// ErrTopology: a queue or exchange exists with other properties. See [TopologyError].
	ErrTopology = errors.New("the broker's topology differs")
	// ErrUnsupported: the transport lacks what was asked for; the text names both.
	ErrUnsupported = errors.New("not supported by this transport")
	// ErrDeliveryLost: the broker has taken the delivery back (connection lost, channel or queue closed) and
	// will hand the message out again.
	ErrDeliveryLost = errors.New("the delivery was lost")
)

// TopologyError is the error of a queue or exchange that exists with other properties than the contract needs.
// errors.Is(err, [ErrTopology]) holds.
type TopologyError struct {
	// Entity is what differs: `queue "orders.Ship--orders"`.
	Entity string
	// Property is the argument or flag that differs, if the broker said so.
	Property string
	// Want and Have are its values: ours and the broker's.
	Want, Have string
	// Remedy says what to do about it.
	Remedy string
	// Err is the broker's own error.
	Err error
}

// Error names the entity, the property, both values and the way out.
func (e *TopologyError) Error() string {
	s := e.Entity + " exists with other properties"
	if e.Property != "" {
		s = fmt.Sprintf("%s exists with %s = %s, this contract needs %s", e.Entity, e.Property, e.Have, e.Want)
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap gives [ErrTopology] and the broker's error.
func (e *TopologyError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrTopology}
	}
	return []error{ErrTopology, e.Err}
}
