package asyncconnect

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect/v2"

	async "github.com/asyncpb/async/runtime"
)

// sendErrors are the codes of what a send can end with, in the order in which they are looked for. The text of the error itself
// is shown where it speaks of the caller's own message alone.
var sendErrors = []struct {
	err   error
	code  connect.Code
	text  string
	shown bool
}{
	{err: context.DeadlineExceeded, code: connect.CodeDeadlineExceeded, text: "the deadline passed before the broker had answered; the message may be stored or not"},
	{err: context.Canceled, code: connect.CodeCanceled, text: "canceled before the broker had answered; the message may be stored or not"},
	{err: async.ErrInvalid, code: connect.CodeInvalidArgument, shown: true},
	{err: async.ErrNoKey, code: connect.CodeInvalidArgument, shown: true},
	{err: async.ErrTooLarge, code: connect.CodeResourceExhausted, shown: true},
	{err: async.ErrBacklog, code: connect.CodeResourceExhausted, text: "too many messages wait for the broker; try again later"},
	{err: async.ErrTopology, code: connect.CodeFailedPrecondition, text: "a queue of this rpc exists on the broker in another form"},
	{err: async.ErrUnsupported, code: connect.CodeUnimplemented, text: "the transport cannot carry this rpc"},
	{err: async.ErrUnroutable, code: connect.CodeUnavailable, text: "nobody consumes this rpc"},
	{err: async.ErrNacked, code: connect.CodeUnavailable, text: "the broker refused the message; try again later"},
	{err: async.ErrBlocked, code: connect.CodeUnavailable, text: "the broker takes no messages at present; try again later"},
	{err: async.ErrClosed, code: connect.CodeUnavailable, text: "the runtime is shut down"},
	{err: async.ErrUnknown, code: connect.CodeUnknown, text: "the connection to the broker ended before its answer; the message may be stored or not"},
}

// callError is what the caller of a generated client sees. The original is its cause.
func callError(err error) error {
	if err == nil {
		return nil
	}
	if status, ok := errors.AsType[*async.Error](err); ok {
		made := connect.NewError(connect.Code(status.Code), status.Message).WithCause(err)
		for _, detail := range status.Details {
			name := detail.GetTypeUrl()
			made = made.WithDetail(&connect.ErrorDetail{Type: name[strings.LastIndexByte(name, '/')+1:], Value: detail.GetValue()})
		}
		if status.Remote() {
			return made.WithRemote()
		}
		return made
	}
	if made, ok := errors.AsType[*connect.Error](err); ok {
		return made
	}
	for _, known := range sendErrors {
		if !errors.Is(err, known.err) {
			continue
		}
		text := known.text
		if known.shown {
			text = err.Error()
		}
		return connect.NewError(known.code, text).WithCause(err)
	}
	return connect.NewError(connect.CodeUnknown, "the message was not sent").WithCause(err)
}
