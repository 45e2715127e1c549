package asyncconnect

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	async "github.com/asyncpb/async/runtime"
)

// handlerError is a handler's error with what of it may leave this process.
type handlerError struct {
	status *async.Error
	err    error
}

// Error returns the handler's own text. It is no reply's: it goes into the log and, where dead letters are kept, into theirs.
func (e *handlerError) Error() string { return e.err.Error() }

// Unwrap lets the runtime find the status first.
func (e *handlerError) Unwrap() []error { return []error{e.status, e.err} }

// authored returns the connect.Error that the handler itself made, nil if there is none.
func authored(err error) *connect.Error {
	if made, ok := errors.AsType[*connect.Error](err); ok && made != nil && !made.IsRemote() {
		return made
	}
	return nil
}

// replyError is a request's failure: what a caller may know of it is what Connect itself shows.
func replyError(err error) *handlerError {
	made := authored(err)
	if made == nil {
		return &handlerError{status: &async.Error{Code: scrubbed(err)}, err: err}
	}
	code := async.Code(made.Code())
	if code > async.CodeUnauthenticated {
		code = async.CodeUnknown
	}
	status := &async.Error{Code: code, Message: made.Message()}
	for _, d := range made.Details() {
		status.Details = append(status.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type, Value: d.Value})
	}
	return &handlerError{status: status, err: err}
}

// scrubbed is the code of an error that was not made for the caller.
func scrubbed(err error) async.Code {
	remote, ok := errors.AsType[*connect.Error](err)
	switch {
	case ok && remote != nil:
		return async.CodeInternal
	case errors.Is(err, context.Canceled):
		return async.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return async.CodeDeadlineExceeded
	default:
		return async.CodeUnknown
	}
}

// verdict says by its code what becomes of the message of an event or command.
func verdict(err error) error {
	if err == nil || async.IsVerdict(err) || errors.Is(err, async.ErrUnimplemented) {
		return err
	}
	coded := replyError(err)
	switch coded.status.Code {
	case async.CodeInvalidArgument, async.CodeNotFound, async.CodeAlreadyExists, async.CodeFailedPrecondition, async.CodeOutOfRange,
		async.CodePermissionDenied, async.CodeUnauthenticated, async.CodeUnimplemented, async.CodeDataLoss:
		return async.Reject(coded)
	default:
	}
	if delay, ok := retryDelay(coded.status); ok {
		return async.RetryAfter(delay, coded)
	}
	return coded
}

// retryDelay reads a google.rpc.RetryInfo among the details.
func retryDelay(status *async.Error) (time.Duration, bool) {
	for _, detail := range status.Details {
		var info errdetails.RetryInfo
		if detail.MessageIs(&info) && proto.Unmarshal(detail.GetValue(), &info) == nil && info.GetRetryDelay() != nil {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}
