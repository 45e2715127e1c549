package async

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Delivery is one message as handed to a puller or a batch handler. It is unsettled until Settle or Process; a delivery that is
// never settled goes back when the runtime is closed. Its methods may be called from many goroutines at once.
type Delivery[M proto.Message] struct {
	// Msg is the message. It belongs to the receiver.
	Msg M

	x   *delivery
	ctx *handlerContext
}

func newDelivery[M proto.Message](x *delivery) (*Delivery[M], error) {
	msg, ok := x.in.Message.(M)
	if !ok {
		return nil, fmt.Errorf("async: the message is a %T", x.in.Message)
	}
	// A request, which alone has something to release, is not pulled.
	ctx, _ := x.context()
	ctx.info = x.in.Info
	return &Delivery[M]{Msg: msg, x: x, ctx: ctx}, nil
}

// Info returns what is known of the message beside its content. It is shared: do not change it.
func (d *Delivery[M]) Info() *Info { return d.x.in.Info }

// Context ends when the delivery is settled or lost; context.Cause tells which. [InfoFrom] finds the Info in it.
func (d *Delivery[M]) Context() context.Context { return d.ctx }

// Settle gives the verdict, in a handler's words: nil, an error, [Reject], [RetryAfter] or [Drop]. It waits until the broker has
// taken it, or ctx ends; the verdict stands in any case. A second call is [ErrSettled]; a delivery that the broker took
// back is [ErrDeliveryLost], and its message comes again.
func (d *Delivery[M]) Settle(ctx context.Context, verdict error) error {
	done := make(chan error, 1)
	if !d.x.settleBy(verdict, func(err error) {
		select {
		case done <- err:
		default: // a retry reports when it is arranged, and again when it is carried out
		}
	}) {
		return opError("settle", d.x.in.Spec, ErrSettled)
	}
	d.ctx.end(ErrSettled)
	select {
	case err := <-done:
		return opError("settle", d.x.in.Spec, err)
	case <-ctx.Done():
		return opError("settle", d.x.in.Spec, context.Cause(ctx))
	}
}

type processKey struct{}

// processFunc is a Process call's function, freed of its type.
type processFunc func(ctx context.Context, msg proto.Message) error

// Process calls f as a handler, inside the interceptors, and settles the delivery with its verdict. ctx gives f its values and
// may end it early; f's context ends too when the delivery is lost. It returns f's error, or else that of the settlement. If f
// panics or ends its goroutine, it has failed, and the delivery is settled with that.
func (d *Delivery[M]) Process(ctx context.Context, f func(ctx context.Context, msg M) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.ctx, func() { cancel(context.Cause(d.ctx)) })()
	observation := d.x.begin(ctx, true)
	ctx = &handlerContext{Context: d.x.attemptContext(ctx, observation), delivery: d.x, info: d.x.in.Info}
	ctx = context.WithValue(ctx, processKey{}, processFunc(func(ctx context.Context, msg proto.Message) error {
		typed, ok := msg.(M)
		if !ok {
			return Reject(fmt.Errorf("an interceptor made the message a %T", msg))
		}
		return f(ctx, typed)
	}))
	verdict := errGoexit
	// Deferred, since nothing else runs after f has ended its goroutine.
	defer func() {
		settled := d.Settle(context.WithoutCancel(ctx), verdict)
		if observation != nil {
			// Somebody else may have settled the delivery meanwhile.
			observation.end(Result{Err: verdict, Attempt: d.x.attempt, Tries: 1})
		}
		err = errors.Join(verdict, settled)
	}()
	verdict = d.x.feed.b.guard(ctx, d.x)
	return verdict
}

// runProcess is the innermost handler of a pull binding.
func runProcess(ctx context.Context, in *Incoming) (proto.Message, error) {
	f, ok := ctx.Value(processKey{}).(processFunc)
	if !ok {
		return nil, errors.New("an interceptor replaced the context of Process")
	}
	return nil, f(ctx, in.Message)
}

// guard calls the interceptors and Process's function; a panic is an error. It does not return from the end of the goroutine.
func (b *binding) guard(ctx context.Context, x *delivery) (verdict error) {
	finished := false
	defer func() {
		switch r := recover(); {
		case r != nil:
			verdict = x.panicked(r)
		case !finished:
			x.exited()
		}
	}()
	_, verdict = b.handle(ctx, x.in)
	finished = true
	return verdict
}

// settleBy concludes the delivery with a verdict unless that was done before.
func (x *delivery) settleBy(verdict error, decided func(error)) bool {
	if !x.settled.CompareAndSwap(false, true) {
		return false
	}
	x.decided = decided
	x.conclude(verdict, nil)
	return true
}
