package asyncconnect

import (
	"context"
	"sync"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	async "github.com/asyncpb/async/runtime"
)

// NewTransport returns a transport that carries the unary calls of a [connect.Client] over the broker of rt. It is safe for
// concurrent use; one for each runtime is enough. It never fails: what is wrong with an rpc is the error of its calls. rt stays
// the caller's.
//
// The error of a call is a [connect.Error]: the handler's, marked as remote, or what became of the send. Unavailable means that
// nobody consumes the rpc, or that the broker takes nothing at present; Unknown, that the connection was lost before the broker's
// answer.
func NewTransport(rt *async.Runtime, opts ...TransportOption) connect.Transport {
	return newTransport(rt, opts)
}

type brokerTransport struct {
	rt      *async.Runtime
	options transportOptions
	rpcs    sync.Map // procedure -> func() (*rpc, error)
}

func newTransport(rt *async.Runtime, opts []TransportOption) *brokerTransport {
	t := &brokerTransport{rt: rt}
	for _, opt := range opts {
		opt.applyTransport(&t.options)
	}
	return t
}

// rpc is one procedure bound to the runtime: a request has a client, an event or command a publisher.
type rpc struct {
	spec      *async.Spec
	client    *async.Client[proto.Message, proto.Message]
	publisher *async.Publisher[proto.Message]
}

// NewClientStream implements [connect.Transport].
func (t *brokerTransport) NewClientStream(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	bound, err := t.bind(spec)
	if err != nil {
		return nil, err
	}
	return newClientStream(ctx, spec, bound), nil
}

// bind reads the contract of a procedure, once.
func (t *brokerTransport) bind(spec connect.Spec) (*rpc, error) {
	known, ok := t.rpcs.Load(spec.Procedure)
	if !ok {
		known, _ = t.rpcs.LoadOrStore(spec.Procedure, sync.OnceValues(func() (*rpc, error) { return t.read(spec) }))
	}
	read, ok := known.(func() (*rpc, error))
	if !ok {
		return t.read(spec)
	}
	return read()
}

func (t *brokerTransport) read(spec connect.Spec) (*rpc, error) {
	described, err := describe(spec, t.options.implicit)
	if err != nil {
		return nil, err
	}
	bound := &rpc{spec: specOf(described)}
	if onHTTP(t.rt, bound.spec) {
		return nil, connect.Errorf(connect.CodeFailedPrecondition,
			"the configuration gives %s to HTTP (transport: http); make the client's transport with asyncconnect.Route, or name a broker", spec.Procedure).WithCause(errOnHTTP)
	}
	if bound.spec.Kind == async.KindRequest {
		bound.client = async.NewClient[proto.Message, proto.Message](t.rt, bound.spec, traceContext)
	} else {
		bound.publisher = async.NewPublisher[proto.Message](t.rt, bound.spec, traceContext)
	}
	return bound, nil
}
