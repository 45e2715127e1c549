package asyncconnect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/asyncpb/async/internal/contract"
	async "github.com/asyncpb/async/runtime"
)

// ForwardOption is a [Service] to forward, or configures [Forward].
type ForwardOption interface{ applyForward(*forwardOptions) }

type forwardOptions struct {
	services     []string
	anonymous    bool
	authenticate AuthenticateFunc
	headers      []string
}

// Service is the full name of a service, as generated code has it in a constant.
type Service string

func (s Service) applyForward(o *forwardOptions) { o.services = append(o.services, string(s)) }

// AuthenticateFunc decides whether a call may send its message. It sees the rpc and the headers, before the body is read. The
// context that it returns is that of the send. Its error is the caller's: a [connect.Error] made here as it is, any other as
// Unauthenticated without its text. It is called from many goroutines at once.
type AuthenticateFunc func(ctx context.Context, spec connect.Spec, header *connect.Header) (context.Context, error)

type forwardOptionFunc func(*forwardOptions)

func (f forwardOptionFunc) applyForward(o *forwardOptions) { f(o) }

// WithAuthenticator asks f about each call. There is none by default, and [Forward] then wants [AllowAnonymous].
func WithAuthenticator(f AuthenticateFunc) ForwardOption {
	return forwardOptionFunc(func(o *forwardOptions) { o.authenticate = f })
}

// AllowAnonymous lets everybody send who can reach the server.
func AllowAnonymous() ForwardOption {
	return forwardOptionFunc(func(o *forwardOptions) { o.anonymous = true })
}

// WithForwardedHeaders makes headers of the call, by name, headers of the message. By default none are: what a caller sends
// along, cookies and credentials among it, is not for every consumer.
func WithForwardedHeaders(names ...string) ForwardOption {
	return forwardOptionFunc(func(o *forwardOptions) { o.headers = append(o.headers, names...) })
}

// Forward registers the event and command rpcs of services on server, so that a call over HTTP or gRPC sends a message: it
// returns when the broker has stored it. Requests and rpcs without an annotation are left to their handlers. Mount the server with
// [Mount], which limits what is read.
//
// Nobody may call without [WithAuthenticator] or [AllowAnonymous]: Forward is an error then. So is a forwarded header that
// the wire keeps for itself, a service that is not linked
// in, one without events and commands, an rpc that has a handler on server already, and one that the configuration gives to HTTP.
// What a server forwards it cannot [Serve] too: that needs a server of its own.
//
// The error of a call has a code for each thing that can become of a send: InvalidArgument (the message cannot be sent),
// ResourceExhausted (too large, or too many wait), Unavailable (nobody consumes the command, or the broker takes nothing at present: try again),
// DeadlineExceeded, Canceled and Unknown (the outcome is not known: a second try may be a duplicate), FailedPrecondition (a queue has another form).
func Forward(rt *async.Runtime, server *connect.Server, services ...ForwardOption) error {
	var o forwardOptions
	for _, opt := range services {
		opt.applyForward(&o)
	}
	var errs []error
	switch {
	case o.authenticate == nil && !o.anonymous:
		errs = append(errs, errors.New("nobody says who may send; give asyncconnect.WithAuthenticator, or AllowAnonymous to let everybody"))
	case o.authenticate != nil && o.anonymous:
		errs = append(errs, errors.New("WithAuthenticator and AllowAnonymous contradict each other; give one"))
	}
	for _, name := range o.headers {
		if async.ReservedHeader(name) {
			errs = append(errs, fmt.Errorf("the header %s is a message's own and no caller's to set; leave it out of WithForwardedHeaders", name))
		}
	}
	if len(o.services) == 0 {
		errs = append(errs, errors.New("no service is named; give asyncconnect.Service"))
	}
	taken := make(map[string]bool)
	for spec := range server.Specs() {
		taken[spec.Procedure] = true
	}
	var methods []connect.Method
	for _, name := range o.services {
		more, err := o.methods(rt, name, taken)
		methods = append(methods, more...)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("asyncconnect: forward: %w", err)
	}
	forwards.add(server, methods)
	server.Register(methods...)
	return nil
}

// methods makes the methods of one service.
func (o *forwardOptions) methods(rt *async.Runtime, service string, taken map[string]bool) ([]connect.Method, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	sd, ok := found.(protoreflect.ServiceDescriptor)
	if err != nil || !ok {
		return nil, fmt.Errorf("the service %s is not linked into this program; import its generated code, or correct the name", service)
	}
	var (
		methods []connect.Method
		errs    []error
	)
	for i := range sd.Methods().Len() {
		md := sd.Methods().Get(i)
		described, refused := contract.Method(md)
		if err := refused.Err(); err != nil {
			errs = append(errs, err)
			continue
		}
		if described == nil || described.Kind == contract.Request {
			continue
		}
		f := &forwarder{spec: specOf(described), options: o}
		procedure := "/" + service + "/" + string(md.Name())
		switch {
		case taken[procedure]:
			errs = append(errs, fmt.Errorf("%s has a handler on this server; forward on another connect.Server", procedure))
		case onHTTP(rt, f.spec):
			errs = append(errs, fmt.Errorf("the configuration gives %s to HTTP (transport: http), so there is no broker to forward it to; name one", procedure))
		default:
			taken[procedure] = true
			f.publisher = async.NewPublisher[proto.Message](rt, f.spec, traceContext)
			// No idempotency level: a call that sends a message is a POST.
			methods = append(methods, connect.Method{Spec: connect.Spec{Procedure: procedure, Schema: md}, Handler: f.serve})
		}
	}
	if len(methods) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("the service %s has no event or command to forward", service))
	}
	return methods, errors.Join(errs...)
}

// forwarder sends the message of each call.
type forwarder struct {
	spec      *async.Spec
	publisher *async.Publisher[proto.Message]
	options   *forwardOptions
}

func (f *forwarder) serve(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
	header := new(connect.Header)
	if info, ok := connect.CallInfoForServerContext(ctx); ok {
		header = info.RequestHeader()
	}
	if f.options.authenticate != nil {
		allowed, err := f.options.authenticate(ctx, spec, header)
		if err != nil {
			if made := authored(err); made != nil {
				return made
			}
			return connect.NewError(connect.CodeUnauthenticated, "").WithCause(err)
		}
		ctx = allowed
	}
	msg := f.spec.Input()
	if err := stream.Receive(msg); err != nil {
		return err
	}
	if err := f.publisher.Send(ctx, msg, f.headers(header)...); err != nil {
		return callError(err)
	}
	return stream.Send(new(emptypb.Empty))
}

func (f *forwarder) headers(h *connect.Header) []async.SendOption {
	var opts []async.SendOption
	for _, name := range slices.Compact(slices.Sorted(slices.Values(f.options.headers))) {
		for _, v := range h.Values(name) {
			opts = append(opts, async.WithHeader(strings.ToLower(name), v))
		}
	}
	return opts
}
