package async

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
)

// Handle registers a handler of an event or command. Run starts it; it is called from as many goroutines at once as the
// binding's concurrency says. Its return value is the verdict: see [Reject], [RetryAfter] and [Drop]. A handler that panics or
// ends its goroutine has failed, as with an error; the log has its stack. An error that wraps [context.Canceled], or has
// [CodeCanceled], while the binding drains is no attempt: the message goes back.
func Handle[M proto.Message](rt *Runtime, spec *Spec, h func(context.Context, M) error, opts ...SubscribeOption) error {
	return rt.handle(spec, func(ctx context.Context, in *Incoming) (proto.Message, error) {
		msg, ok := in.Message.(M)
		if !ok {
			return nil, Reject(fmt.Errorf("the message is a %T", in.Message))
		}
		return nil, h(ctx, msg)
	}, opts)
}

// HandleRequest registers a handler of a request. Whatever it returns is the reply: a message, or an error, of which only an
// [*Error] made here shows its text to the caller.
func HandleRequest[Req, Res proto.Message](rt *Runtime, spec *Spec, h func(context.Context, Req) (Res, error), opts ...SubscribeOption) error {
	return rt.handle(spec, func(ctx context.Context, in *Incoming) (proto.Message, error) {
		req, ok := in.Message.(Req)
		if !ok {
			return nil, NewError(CodeInternal, "the message is a %T", in.Message)
		}
		res, err := h(ctx, req)
		if err != nil {
			return nil, err
		}
		return res, nil
	}, opts)
}

func (rt *Runtime) handle(spec *Spec, h HandleFunc, opts []SubscribeOption) error {
	_, err := rt.register(spec, modePush, opts, func(b *binding) {
		b.intercept(h, opts)
		b.wire = b.handleWire
		for _, v := range slices.Backward(rt.middleware) {
			b.wire = v(b.wire)
		}
	})
	return err
}

// intercept puts the interceptors around the user's handler.
func (b *binding) intercept(h HandleFunc, opts []SubscribeOption) {
	var o subscribeOptions
	for _, opt := range opts {
		opt.applySubscribe(&o)
	}
	all := append(slices.Clip(b.rt.interceptors), o.interceptors...)
	b.handle = chainHandle(all, h)
}
