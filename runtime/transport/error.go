package transport

import (
	"errors"
	"fmt"
)

// What a send, a subscription or a delivery can end with. The runtime exports them under the same names.
var (
	// ErrUnroutable: no queue takes the message; it is stored nowhere.
	ErrUnroutable = errors.New("no queue takes this message")
	// ErrNacked: the broker refused the message (a full queue, an internal error); it is not stored.
	ErrNacked = errors.New("the broker refused the message")
	// ErrBlocked: the broker takes no messages at present, or the queue stayed full; it is not stored. Try again
	// later.
	ErrBlocked = errors.New("the broker takes no messages at present")
	// ErrUnknown: the connection or the time ended before the broker's answer. The message may be stored or
	// not; sending it again with the same message id is safe.
	ErrUnknown = errors.New("the outcome of the send is unknown")
	// ErrTooLarge: a limit on size was passed; the text names the limit and the value.
	ErrTooLarge = errors.New("too large")
	// ErrClosed: the transport, or the runtime, was closed.
	ErrClosed = errors.New("closed")
	// ErrBacklog: the window is full and the caller did not want to wait.
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
