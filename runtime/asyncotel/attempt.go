package asyncotel

import (
	"context"
	"time"

	async "github.com/asyncpb/async/runtime"
)

// attemptOperation is one call of a handler.
type attemptOperation struct {
	spanned

	handling *processOperation
}

func (p *endpoint) startAttempt(process async.Operation, number int) async.Operation {
	handling, ours := process.(*processOperation)
	if !ours || !handling.recording() {
		return nil
	}
	op := &attemptOperation{handling: handling}
	op.begin(handling.ctx, p, p.attempt, time.Now())
	op.set(keyAttemptNumber.Int(number))
	return op
}

// Context is the handler's, in the span of the call.
func (op *attemptOperation) Context(parent context.Context) context.Context {
	return op.spanned.Context(op.handling.Context(parent))
}

// End ends the span. What was wrong is an error of the handling only if that ends with it, so nothing is logged here.
func (op *attemptOperation) End(r async.Result) {
	kind := ""
	if r.Err != nil {
		kind = errorType(r.Err, op.p.capabilities.System)
	}
	at := r.At
	if at.IsZero() {
		at = time.Now()
	}
	op.end(r.Err, kind, at)
}
