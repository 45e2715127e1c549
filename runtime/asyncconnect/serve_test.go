package asyncconnect_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// counting answers with who was called how often.
type counting struct {
	callsv1connect.UnimplementedCallsHandler
	protocols chan string
}

func (c counting) Echo(ctx context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	info, _ := connect.CallInfoForServerContext(ctx)
	c.protocols <- info.Protocol
	return &callsv1.EchoResponse{Payload: req.GetPayload()}, nil
}

func TestOneHandlerServesHTTPAndTheBroker(t *testing.T) {
	t.Parallel()
	handler := counting{protocols: make(chan string, 1)}
	server := connect.NewServer()
	callsv1connect.RegisterCallsHandler(server, handler)

	p := newPlace(t, rabbitMQ)
	rt := p.open(t, "version: 1\n")
	if err := asyncconnect.Serve(rt, server); err != nil {
		t.Fatal(err)
	}
	run(t, rt)
	mux := http.NewServeMux()
	asyncconnect.Mount(rt, mux, server)
	srv := httptest.NewUnstartedServer(mux)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)

	for _, test := range []struct {
		name, protocol string
		transport      connect.Transport
	}{
		{"Connect", connect.ProtocolNameConnect, connecthttp.NewTransport(srv.Client(), srv.URL)},
		{"gRPC", connect.ProtocolNameGRPC, connecthttp.NewTransport(srv.Client(), srv.URL, connecthttp.WithGRPC())},
		{"gRPC-Web", connect.ProtocolNameGRPCWeb, connecthttp.NewTransport(srv.Client(), srv.URL, connecthttp.WithGRPCWeb())},
		{"the broker", asyncconnect.ProtocolName, asyncconnect.NewTransport(rt)},
	} {
		client := callsv1connect.NewCallsClient(connect.NewClient(test.transport))
		res, err := client.Echo(t.Context(), &callsv1.EchoRequest{Payload: []byte(test.name)})
		if err != nil || string(res.GetPayload()) != test.name {
			t.Errorf("over %s: got %q, %v", test.name, res.GetPayload(), err)
		}
		if got := receive(t, handler.protocols); got != test.protocol {
			t.Errorf("over %s the handler sees the protocol %q, want %q", test.name, got, test.protocol)
		}
	}
}

// asking implements the service without annotations.
type asking struct{ told chan string }

func (asking) Ask(_ context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	return &callsv1.EchoResponse{Payload: req.GetPayload()}, nil
}

func (a asking) Tell(_ context.Context, req *callsv1.NoteRequest) (*emptypb.Empty, error) {
	a.told <- req.GetRow()
	return new(emptypb.Empty), nil
}

func TestRpcsWithoutAnAnnotationAreRequestsWhenAskedFor(t *testing.T) {
	t.Parallel()
	for _, name := range []string{memory, rabbitMQ} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newPlace(t, name).open(t, "version: 1\n")
			handler := asking{told: make(chan string, 1)}
			server := connect.NewServer()
			callsv1connect.RegisterPlainHandler(server, handler)
			if err := asyncconnect.Serve(rt, server, asyncconnect.WithImplicit()); err != nil {
				t.Fatal(err)
			}
			run(t, rt)
			client := callsv1connect.NewPlainClient(connect.NewClient(asyncconnect.NewTransport(rt, asyncconnect.WithImplicit())))
			res, err := client.Ask(t.Context(), &callsv1.EchoRequest{Payload: []byte("hi")})
			if err != nil || string(res.GetPayload()) != "hi" {
				t.Errorf("got %q, %v", res.GetPayload(), err)
			}
			if _, err := client.Tell(t.Context(), &callsv1.NoteRequest{Row: "x"}); err != nil {
				t.Error(err)
			}
			if got := receive(t, handler.told); got != "x" {
				t.Errorf("told %q", got)
			}
		})
	}
}

func TestAnRpcWithoutAnAnnotationHasNoPlaceOnTheBroker(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\n")
	client := callsv1connect.NewPlainClient(connect.NewClient(asyncconnect.NewTransport(rt)))
	_, err := client.Ask(t.Context(), new(callsv1.EchoRequest))
	wantError(t, err, connect.CodeUnimplemented, "/acme.calls.v1.Plain/Ask", "(async.v1.method)", "WithImplicit")
}

func TestStreamsAnswerWhatToUseInstead(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\n")
	client := callsv1connect.NewStreamsClient(connect.NewClient(asyncconnect.NewTransport(rt)))
	_, err := client.Watch(t.Context(), new(callsv1.EchoRequest))
	wantError(t, err, connect.CodeUnimplemented, "/acme.calls.v1.Streams/Watch", "event", "HTTP")

	server := connect.NewServer()
	callsv1connect.RegisterStreamsHandler(server, callsv1connect.UnimplementedStreamsHandler{})
	callsv1connect.RegisterCallsHandler(server, callsv1connect.UnimplementedCallsHandler{})
	err = asyncconnect.Serve(rt, server, asyncconnect.WithImplicit())
	wantError(t, err, connect.CodeUnimplemented, "/acme.calls.v1.Streams/Watch", "event", "HTTP")
	if err := asyncconnect.Serve(rt, server); err != nil {
		t.Errorf("a stream without an annotation is left to HTTP, got %v", err)
	}
}

func TestServeTellsWhatItCannotServe(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\n")
	t.Run("a schema that is no method descriptor", func(t *testing.T) {
		t.Parallel()
		server := connect.NewServer()
		server.Register(connect.Method{Spec: connect.Spec{Procedure: "/a.B/C", Schema: "thrift"}})
		wantError(t, asyncconnect.Serve(rt, server), connect.CodeInternal, "/a.B/C", "string", "method descriptor")
	})
	t.Run("a server without annotated rpcs", func(t *testing.T) {
		t.Parallel()
		server := connect.NewServer()
		callsv1connect.RegisterPlainHandler(server, asking{})
		wantError(t, asyncconnect.Serve(rt, server), connect.CodeUnknown, "no rpc", "WithImplicit")
	})
	t.Run("a server that is served twice", func(t *testing.T) {
		t.Parallel()
		rt := newPlace(t, memory).open(t, "version: 1\n")
		server := connect.NewServer()
		callsv1connect.RegisterCallsHandler(server, callsv1connect.UnimplementedCallsHandler{})
		if err := asyncconnect.Serve(rt, server); err != nil {
			t.Fatal(err)
		}
		if err := asyncconnect.Serve(rt, server); !errors.Is(err, async.ErrDuplicateSubscription) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("events without a group", func(t *testing.T) {
		t.Parallel()
		rt := newPlace(t, memory).open(t, "version: 1\n", async.WithApp(""))
		server := connect.NewServer()
		callsv1connect.RegisterCallsHandler(server, callsv1connect.UnimplementedCallsHandler{})
		if err := asyncconnect.Serve(rt, server); !errors.Is(err, async.ErrNoGroup) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAHandlerThatHasBegunGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	begun, release, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	server := connect.NewServer()
	callsv1connect.RegisterCallsHandler(server, echoes{rows: map[string]call{"": {
		handle: func(ctx context.Context, _ *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
			close(begun)
			<-release
			result <- ctx.Err()
			return answer(nil)
		},
	}}})
	client := callsv1connect.NewCallsClient(connect.NewClient(wire(t, memory, server)))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := client.Echo(ctx, new(callsv1.EchoRequest))
		failed <- err
	}()
	receive(t, begun)
	cancel()
	wantError(t, receive(t, failed), connect.CodeCanceled)
	close(release)
	if err := receive(t, result); err != nil {
		t.Errorf("the handler's context ended with its caller's: %v", err)
	}
}

func TestTheDeadlineOfACallerIsNoTimeToLive(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\n")
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Note(ctx, &callsv1.NoteRequest{Row: "x"}); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	rows := make(chan string, 1)
	serveNotes(t, rt, func(_ context.Context, row string) error {
		rows <- row
		return nil
	})
	run(t, rt)
	if got := receive(t, rows); got != "x" {
		t.Errorf("got %q", got)
	}
}

func TestInterceptorsOfTheRuntimeAreOutsideThoseOfConnect(t *testing.T) {
	t.Parallel()
	type key struct{}
	rt := newPlace(t, memory).open(t, "version: 1\n", async.WithInterceptors(async.Interceptor{Handle: func(next async.HandleFunc) async.HandleFunc {
		return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
			return next(context.WithValue(ctx, key{}, in.Spec.Name()), in)
		}
	}}))
	saw := make(chan any, 1)
	server := connect.NewServer(func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			saw <- ctx.Value(key{})
			return next(ctx, spec, stream)
		}
	})
	callsv1connect.RegisterCallsHandler(server, echoes{rows: map[string]call{"": {handle: echo}}})
	if err := asyncconnect.Serve(rt, server); err != nil {
		t.Fatal(err)
	}
	run(t, rt)
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt)))
	if _, err := client.Echo(t.Context(), new(callsv1.EchoRequest)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, saw); got != "acme.calls.v1.Calls/Echo" {
		t.Errorf("Connect's interceptor sees %v", got)
	}
}

// wantError wants a code, and words in the text.
func wantError(t *testing.T, err error, code connect.Code, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %s", code)
		return
	}
	if got := connect.CodeOf(err); got != code {
		t.Errorf("the code is %s, want %s: %v", got, code, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}
