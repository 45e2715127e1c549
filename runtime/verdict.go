package async

import (
	"errors"
	"time"
)

// A handler's return value is its verdict on the message. nil means handled; any error means: try again later, up to
// max_attempts, then dead letter. Reject, RetryAfter and Drop say something else. Verdicts may be wrapped; the outermost
// counts. For a request any error is the reply, and the verdicts below are errors like any other.

// verdict is an error that says something else than "try again".
type verdict interface {
	error
	isVerdict()
}

func (*rejectError) isVerdict()     {}
func (*retryAfterError) isVerdict() {}
func (*dropError) isVerdict()       {}
func (*unfitError) isVerdict()      {}

type rejectError struct{ err error }

func (e *rejectError) Error() string { return "rejected: " + e.err.Error() }
func (e *rejectError) Unwrap() error { return e.err }

type retryAfterError struct {
	err   error
	delay time.Duration
}

func (e *retryAfterError) Error() string {
	return "retry after " + e.delay.String() + ": " + e.err.Error()
}
func (e *retryAfterError) Unwrap() error { return e.err }

type dropError struct{ reason string }

func (e *dropError) Error() string { return "dropped: " + e.reason }

// Reject returns the verdict "dead letter now": trying again would not help. err is the reason; at most 256 bytes of its
// text are kept beside the message.
func Reject(err error) error {
	if err == nil {
		err = errors.New("no reason given")
	}
	return &rejectError{err: err}
}

// RetryAfter returns the verdict "try again, but not before d". It counts as an attempt. A negative d is 0, more than
// 7 days are 7 days. A message that is ordered by key waits in its lane and holds up what shares it, so there all retries together take
// at most 20 minutes: a longer d is cut to what is left of them.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		err = errors.New("no reason given")
	}
	return &retryAfterError{err: err, delay: max(d, 0)}
}

// IsVerdict reports whether err says more than "try again": whether [Reject], [RetryAfter] or [Drop] made it, or made an
// error that it wraps.
func IsVerdict(err error) bool {
	var reject *rejectError
	var retry *retryAfterError
	var drop *dropError
	return errors.As(err, &reject) || errors.As(err, &retry) || errors.As(err, &drop)
}

// Drop returns the verdict "forget this message": it is acknowledged, counted and logged with the reason.
func Drop(reason string) error { return &dropError{reason: reason} }

type unimplementedError struct{ rpc string }

func (e *unimplementedError) Error() string { return e.rpc + ": " + ErrUnimplemented.Error() }
func (*unimplementedError) Unwrap() error   { return ErrUnimplemented }

// Unimplemented is what the methods of a generated Unimplemented…Handler return: for a request the reply
// [CodeUnimplemented], for an event or command [ErrUnimplemented].
func Unimplemented(spec *Spec) error {
	if spec.Kind == KindRequest {
		return NewError(CodeUnimplemented, "%s is not implemented", spec.Name())
	}
	return &unimplementedError{rpc: spec.Name()}
}
