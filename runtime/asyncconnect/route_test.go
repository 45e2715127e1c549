package asyncconnect_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// wires says over which wire a call came.
type wires struct {
	counting
	asking
	callsv1connect.UnimplementedStreamsHandler
}

func (w wires) Ask(ctx context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	return w.counting.Echo(ctx, req)
}

func TestTheConfigurationChoosesTheWire(t *testing.T) {
	t.Parallel()
	const onBroker, onHTTP = asyncconnect.ProtocolName, connect.ProtocolNameConnect
	for _, test := range []struct {
		name, config string
		echo, ask    string
		opts         []asyncconnect.TransportOption
	}{
		{"nothing is said: the annotated rpc is on the broker", "version: 1\n", onBroker, onHTTP, nil},
		{"the rpc is given to HTTP", "version: 1\nbindings: {acme.calls.v1.Calls/Echo: {transport: http}}\n", onHTTP, onHTTP, nil},
		{"the service is given to HTTP", "version: 1\nbindings: {acme.calls.v1.Calls: {transport: http}}\n", onHTTP, onHTTP, nil},
		{"another rpc is given to HTTP", "version: 1\nbindings: {acme.calls.v1.Calls/Note: {transport: http}}\n", onBroker, onHTTP, nil},
		{"rpcs without an annotation too", "version: 1\n", onBroker, onBroker, []asyncconnect.TransportOption{asyncconnect.WithImplicit()}},
		{
			"rpcs without an annotation too, and one of them is given to HTTP", "version: 1\nbindings: {acme.calls.v1.Plain/Ask: {transport: http}}\n",
			onBroker, onHTTP,
			[]asyncconnect.TransportOption{asyncconnect.WithImplicit()},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			handler := wires{counting: counting{protocols: make(chan string, 1)}}
			rt := newPlace(t, memory).open(t, test.config)
			server := connect.NewServer()
			callsv1connect.RegisterCallsHandler(server, handler.counting)
			callsv1connect.RegisterPlainHandler(server, handler)
			if err := asyncconnect.Serve(rt, server, asyncconnect.WithImplicit()); err != nil {
				t.Fatal(err)
			}
			run(t, rt)
			srv := serveHTTP(t, rt, server)
			client := connect.NewClient(asyncconnect.Route(rt, connecthttp.NewTransport(srv.Client(), srv.URL), test.opts...))
			if _, err := callsv1connect.NewCallsClient(client).Echo(t.Context(), new(callsv1.EchoRequest)); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, handler.protocols); got != test.echo {
				t.Errorf("Echo came over %s, want %s", got, test.echo)
			}
			if _, err := callsv1connect.NewPlainClient(client).Ask(t.Context(), new(callsv1.EchoRequest)); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, handler.protocols); got != test.ask {
				t.Errorf("Ask came over %s, want %s", got, test.ask)
			}
		})
	}
}

func serveHTTP(t *testing.T, rt *async.Runtime, server *connect.Server) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	asyncconnect.Mount(rt, mux, server)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func TestStreamsAreLeftOnHTTP(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\n")
	server := connect.NewServer()
	callsv1connect.RegisterStreamsHandler(server, callsv1connect.UnimplementedStreamsHandler{})
	srv := serveHTTP(t, rt, server)
	client := callsv1connect.NewStreamsClient(connect.NewClient(asyncconnect.Route(rt, connecthttp.NewTransport(srv.Client(), srv.URL))))
	stream, err := client.Watch(t.Context(), new(callsv1.EchoRequest))
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Receive()
	wantError(t, err, connect.CodeUnimplemented, "acme.calls.v1.Streams.Watch is not implemented")
}

func TestAnRpcOnHTTPIsNotSentByTheBrokersTransport(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\nbindings: {acme.calls.v1.Calls/Echo: {transport: http}}\n")
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt)))
	_, err := client.Echo(t.Context(), new(callsv1.EchoRequest))
	wantError(t, err, connect.CodeFailedPrecondition, "/acme.calls.v1.Calls/Echo", "asyncconnect.Route")
}
