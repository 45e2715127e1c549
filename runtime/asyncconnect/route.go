package asyncconnect

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"

	async "github.com/asyncpb/async/runtime"
)

// Route returns a transport that carries each rpc where the configuration of rt says: over http what a binding gives to it with
// "transport: http", over the broker the rest. What no broker can carry goes over http too: streams, and rpcs without an
// annotation unless [WithImplicit] is given. A client made with it never changes when an rpc moves. It is safe for concurrent use
// if http is.
func Route(rt *async.Runtime, http connect.Transport, opts ...TransportOption) connect.Transport {
	return &router{broker: newTransport(rt, opts), http: http}
}

type router struct {
	broker *brokerTransport
	http   connect.Transport
}

// errOnHTTP is the cause where the configuration gives an rpc to HTTP.
var errOnHTTP = errors.New("the rpc is bound to HTTP")

// NewClientStream implements [connect.Transport].
func (r *router) NewClientStream(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	if spec.StreamType != connect.StreamTypeUnary {
		return r.http.NewClientStream(ctx, spec)
	}
	bound, err := r.broker.bind(spec)
	switch {
	case errors.Is(err, errOnHTTP), errors.Is(err, errUnannotated):
		return r.http.NewClientStream(ctx, spec)
	case err != nil:
		return nil, err
	}
	return newClientStream(ctx, spec, bound), nil
}

// onHTTP reports whether the configuration gives the rpc to HTTP.
func onHTTP(rt *async.Runtime, spec *async.Spec) bool {
	return rt.Carrier(spec.Name(), "").Transport == nil
}
