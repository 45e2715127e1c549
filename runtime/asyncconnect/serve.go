package asyncconnect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/internal/contract"
	async "github.com/asyncpb/async/runtime"
)

// Serve registers everything annotated on server, with its interceptors, as handlers of rt: they are consumed from the topics
// and with the group, retries and dead letters of their annotations once rt runs. Register on the server before; what comes
// later is not seen. The same server may be mounted on HTTP, and what the configuration gives to HTTP is left to that.
//
// Rpcs without an annotation are left alone, unless [WithImplicit] is given. Events need a group: the runtime's app, or
// [async.WithGroup] in [WithSubscribeOptions]. The error tells of all rpcs that cannot be served, streams and those that the server
// forwards ([Forward]) among them; then nothing is registered.
// An error of the registration itself, such as a second handler for a queue, may come after others were registered.
func Serve(rt *async.Runtime, server *connect.Server, opts ...ServeOption) error {
	var o serveOptions
	for _, opt := range opts {
		opt.applyServe(&o)
	}
	var (
		errs   []error
		served []procedure
		all    []*contract.Spec
	)
	for spec := range server.Specs() {
		if !o.implicit && unannotated(spec) {
			continue
		}
		if forwards.has(server, spec.Procedure) {
			errs = append(errs, fmt.Errorf("%s is forwarded to the broker by this server, and what it forwards would come back to it for ever; serve another connect.Server", spec.Procedure))
			continue
		}
		described, err := describe(spec, o.implicit)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, described)
		served = append(served, procedure{server: server, spec: spec, async: specOf(described)})
	}
	if err := contract.Check(all).Err(); err != nil {
		errs = append(errs, err)
	}
	if len(served) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("no rpc of the server is annotated; give them the option (async.v1.method), or asyncconnect.WithImplicit"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("asyncconnect: serve: %w", err)
	}
	for _, p := range served {
		if !onHTTP(rt, p.async) {
			errs = append(errs, p.register(rt, o.subscribe))
		}
	}
	return errors.Join(errs...)
}

// procedure is one rpc of a server with its place on the broker.
type procedure struct {
	server *connect.Server
	spec   connect.Spec
	async  *async.Spec
}

func (p procedure) register(rt *async.Runtime, opts []async.SubscribeOption) error {
	opts = append(slices.Clip(opts), keepMetadata)
	if p.async.Kind == async.KindRequest {
		return async.HandleRequest(rt, p.async, p.answer, opts...)
	}
	return async.Handle(rt, p.async, p.handle, opts...)
}

// answer calls the handler of a request.
func (p procedure) answer(ctx context.Context, msg proto.Message) (proto.Message, error) {
	info, stream, err := p.call(ctx, msg)
	if err == nil && stream.reply == nil {
		err = connect.NewError(connect.CodeInternal, "the handler returned neither a reply nor an error")
	}
	if err != nil {
		err = replyError(err)
	}
	refused := errors.Join(
		reply(ctx, info.ResponseHeader(), async.SetReplyHeader),
		reply(ctx, info.ResponseTrailer(), async.SetReplyTrailer))
	if refused != nil {
		return nil, replyError(connect.NewError(connect.CodeInternal, "the handler set a header that cannot travel").WithCause(refused))
	}
	return stream.reply, err
}

// handle calls the handler of an event or command. What it replies is empty.
func (p procedure) handle(ctx context.Context, msg proto.Message) error {
	_, _, err := p.call(ctx, msg)
	return verdict(err)
}

func (p procedure) call(ctx context.Context, msg proto.Message) (*connect.CallInfo, *serverStream, error) {
	received, ok := async.InfoFrom(ctx)
	if !ok {
		received = new(async.Info)
	}
	metadata, _ := ctx.Value(metadataKey{}).(map[string]string)
	info := requestInfo(p.spec, received, metadata)
	stream := &serverStream{request: msg}
	err := p.server.Call(ctx, p.spec.Procedure, info, stream)
	return info, stream, err
}

// reply hands headers or trailers to the runtime.
func reply(ctx context.Context, h *connect.Header, set func(ctx context.Context, name, value string) error) error {
	var errs []error
	for name, v := range travelling(h) {
		errs = append(errs, set(ctx, name, v))
	}
	return errors.Join(errs...)
}

type metadataKey struct{}

// keepMetadata lets a handler's call see the wire metadata, where trace context is.
var keepMetadata = async.WithInterceptors(async.Interceptor{Handle: func(next async.HandleFunc) async.HandleFunc {
	return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
		return next(context.WithValue(ctx, metadataKey{}, in.Metadata), in)
	}
}})
