package async

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/asyncpb/async/runtime/transport"
)

// What a send can end with, and what to do about it. They are the transport's own sentinels; test with errors.Is.
var (
	// ErrUnroutable: no queue takes this command or request; it is stored nowhere. Start a consumer first, or let
	// the publisher declare the queue (declare: create).
	ErrUnroutable = transport.ErrUnroutable
	// ErrNacked: the broker refused the message; it is not stored. Try again later.
	ErrNacked = transport.ErrNacked
	// ErrBlocked: the broker takes no messages at present, or a queue stayed full; it is not stored. Try again later.
	ErrBlocked = transport.ErrBlocked
	// ErrUnknown: the connection or the time ended before the broker's answer. The message may be stored or not. Sending
	// it again with the same message id ([WithMessageID]) is safe.
	ErrUnknown = transport.ErrUnknown
	// ErrTooLarge: a limit was passed; the text names it and the value. Trying again does not help.
	ErrTooLarge = transport.ErrTooLarge
	// ErrBacklog: the window of unconfirmed sends is full and [WithNoWait] was given. Try again later.
	ErrBacklog = transport.ErrBacklog
	// ErrClosed: the runtime was shut down.
	ErrClosed = transport.ErrClosed
)

// Errors of subscriptions and of wiring.
var (
	// ErrTopology: a queue exists on the broker with other arguments; see [transport.TopologyError].
	ErrTopology = transport.ErrTopology
	// ErrUnsupported: the chosen transport lacks what was asked for; the text names both.
	ErrUnsupported = transport.ErrUnsupported
	// ErrDeliveryLost is the cause of a handler's context whose delivery the broker took back.
	ErrDeliveryLost = transport.ErrDeliveryLost
	// ErrRunning: Run was called twice, or a handler was registered after Run had started.
	ErrRunning = errors.New("the runtime is running already")
	// ErrDuplicateSubscription: this runtime has a handler for the topic and group already.
	ErrDuplicateSubscription = errors.New("a second subscription for one topic and group")
	// ErrNoGroup: an event subscription without a group; see [WithGroup] and [WithApp].
	ErrNoGroup = errors.New("an event subscription needs a group")
	// ErrNoKey: a message without a key on an rpc that is ordered by key.
	ErrNoKey = errors.New("the ordering key is empty")
	// ErrUnimplemented: the handler of an event or command is the generated Unimplemented stub. The message was put
	// back uncounted and the binding is paused.
	ErrUnimplemented = errors.New("the handler is not implemented")
	// ErrPaused: the binding is paused, so nothing is received: by [Runtime.Pause], or by the runtime for a reason that
	// is wrapped beside it. Receive again after [Runtime.Resume].
	ErrPaused = errors.New("the binding is paused")
	// ErrSettled: a delivery was settled before.
	ErrSettled = errors.New("the delivery was settled before")
	// ErrDrainTimeout is the cause of a handler's context that a drain could not wait for any longer.
	ErrDrainTimeout = errors.New("the drain timeout has passed")
	// ErrInvalid: a message that the validator refused, that cannot be encoded, or whose id, headers or times are not
	// allowed; it was not sent. Trying again does not help.
	ErrInvalid = errors.New("invalid message")
)

// OpError says which operation on which rpc failed. It wraps the reason.
type OpError struct {
	// Op is "send", "call", "subscribe", "receive" or "settle".
	Op string
	// RPC is "<service>/<method>".
	RPC string
	// Err is the reason.
	Err error
}

// Error returns "async: <op> <rpc>: <reason>".
func (e *OpError) Error() string { return "async: " + e.Op + " " + e.RPC + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Err }

func opError(op string, spec *Spec, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*OpError](err); ok {
		return err
	}
	return &OpError{Op: op, RPC: spec.Name(), Err: err}
}

// BatchError is the error of a batch of which at least one message failed.
type BatchError struct {
	// Errs has one entry for each message of the batch, in its order; nil where the send succeeded.
	Errs []error
}

// Error counts the failures and shows the first.
func (e *BatchError) Error() string {
	failed, first := 0, -1
	for i, err := range e.Errs {
		if err != nil {
			failed++
			if first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return "async: batch: no failures"
	}
	return fmt.Sprintf("async: batch: %d of %d messages failed, first [%d]: %v", failed, len(e.Errs), first, e.Errs[first])
}

// Unwrap returns the errors of the messages that failed.
func (e *BatchError) Unwrap() []error {
	var errs []error
	for _, err := range e.Errs {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Error is a request's failure: what a handler returns and its caller gets. An error of any other kind reaches the
// caller as [CodeUnknown] without its text, so that nothing internal crosses the broker by accident. So does an Error
// that the handler itself received from another service: only one made here shows its text.
type Error struct {
	// Code is one of the sixteen codes.
	Code Code
	// Message is shown to the caller.
	Message string
	// Details are shown to the caller.
	Details []*anypb.Any

	cause  error
	remote bool
}

// NewError returns an Error with a formatted message. A %w verb makes its operand the error's cause, which stays here.
func NewError(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Error returns "<code>: <message>".
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Message
}

// Unwrap returns the cause, if there is one: context.DeadlineExceeded for a deadline that passed here.
func (e *Error) Unwrap() error { return e.cause }

// Remote reports whether the error came over the broker.
func (e *Error) Remote() bool { return e.remote }

// CodeOf returns the code of err: that of the [Error] in its chain, else DeadlineExceeded and Canceled for the context's
// errors, else Unknown.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case errors.As(err, &e) && e.Code.valid():
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		return CodeCanceled
	default:
		return CodeUnknown
	}
}

// contextError is the Error of a call whose context or deadline ended here.
func contextError(err error) *Error {
	code := CodeCanceled
	if errors.Is(err, context.DeadlineExceeded) {
		code = CodeDeadlineExceeded
	}
	return &Error{Code: code, Message: err.Error(), cause: err}
}

// sanitize cuts text to 256 bytes of one printable line, for places that others read: a header, a log.
func sanitize(text string) string {
	const limit = 256
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	if len(text) <= limit {
		return text
	}
	end := limit - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
