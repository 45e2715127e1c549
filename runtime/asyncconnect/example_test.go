package asyncconnect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/types/known/emptypb"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// greeter is a handler as Connect's generator wants it. It does not know of a broker.
type greeter struct {
	callsv1connect.UnimplementedCallsHandler
	noted chan string
}

func (greeter) Echo(ctx context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	info, _ := connect.CallInfoForServerContext(ctx)
	return &callsv1.EchoResponse{Payload: []byte("Hello over " + info.Protocol + ", " + string(req.GetPayload()) + "!")}, nil
}

func (g greeter) Note(_ context.Context, req *callsv1.NoteRequest) (*emptypb.Empty, error) {
	g.noted <- req.GetRow()
	return new(emptypb.Empty), nil
}

// start serves g on a broker in memory.
func start(ctx context.Context, g greeter) (rt *async.Runtime, server *connect.Server, stop func()) {
	rt, err := async.Open(ctx, async.WithURL("memory://"), async.WithApp("example"))
	if err != nil {
		panic(err)
	}
	server = connect.NewServer()
	callsv1connect.RegisterCallsHandler(server, g)
	if err := asyncconnect.Serve(rt, server); err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	<-rt.Ready()
	return rt, server, func() {
		_ = rt.Close()
		<-ended
	}
}

// One handler, called over the broker with Connect's own client.
func Example() {
	ctx := context.Background()
	rt, _, stop := start(ctx, greeter{noted: make(chan string, 1)})
	defer stop()

	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt)))
	res, err := client.Echo(ctx, &callsv1.EchoRequest{Payload: []byte("Ada")})
	fmt.Println(string(res.GetPayload()), err)
	// Output: Hello over async, Ada! <nil>
}

// The client does not know which wire its calls take: the configuration says so, and without a line in it that is the broker for
// rpcs that are annotated.
func ExampleRoute() {
	ctx := context.Background()
	rt, server, stop := start(ctx, greeter{noted: make(chan string, 1)})
	defer stop()
	mux := http.NewServeMux()
	asyncconnect.Mount(rt, mux, server)
	web := httptest.NewServer(mux)
	defer web.Close()
	overHTTP := connecthttp.NewTransport(web.Client(), web.URL)

	for _, transport := range []connect.Transport{asyncconnect.Route(rt, overHTTP), overHTTP} {
		client := callsv1connect.NewCallsClient(connect.NewClient(transport))
		res, err := client.Echo(ctx, &callsv1.EchoRequest{Payload: []byte("Ada")})
		fmt.Println(string(res.GetPayload()), err)
	}
	// Output:
	// Hello over async, Ada! <nil>
	// Hello over connect, Ada! <nil>
}

// A program at the edge has no handlers; it makes HTTP calls messages, for those whom it knows.
func ExampleForward() {
	ctx := context.Background()
	g := greeter{noted: make(chan string, 1)}
	rt, _, stop := start(ctx, g)
	defer stop()

	edge := connect.NewServer()
	err := asyncconnect.Forward(rt, edge, asyncconnect.Service(callsv1connect.CallsName),
		asyncconnect.WithAuthenticator(func(ctx context.Context, _ connect.Spec, header *connect.Header) (context.Context, error) {
			if header.Get("Authorization") != "Bearer ada" {
				return nil, connect.NewError(connect.CodeUnauthenticated, "who are you?")
			}
			return ctx, nil
		}))
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	asyncconnect.Mount(rt, mux, edge)
	web := httptest.NewServer(mux)
	defer web.Close()

	client := callsv1connect.NewCallsClient(connect.NewClient(connecthttp.NewTransport(web.Client(), web.URL)))
	_, err = client.Note(ctx, &callsv1.NoteRequest{Row: "from nobody"})
	fmt.Println(err)
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set("Authorization", "Bearer ada")
	_, err = client.Note(ctx, &callsv1.NoteRequest{Row: "from Ada"})
	fmt.Println(err)
	fmt.Println("handled:", <-g.noted)
	// Output:
	// unauthenticated: who are you?
	// <nil>
	// handled: from Ada
}

// One server, mounted on HTTP beside the broker: what is read of a call is limited, as on the broker.
func ExampleMount() {
	ctx := context.Background()
	rt, server, stop := start(ctx, greeter{noted: make(chan string, 1)})
	defer stop()
	mux := http.NewServeMux()
	asyncconnect.Mount(rt, mux, server)
	web := httptest.NewServer(mux)
	defer web.Close()

	client := callsv1connect.NewCallsClient(connect.NewClient(connecthttp.NewTransport(web.Client(), web.URL)))
	for _, size := range []int{1 << 10, 2 << 20} {
		_, err := client.Echo(ctx, &callsv1.EchoRequest{Payload: make([]byte, size)})
		fmt.Println(connect.CodeOf(err) == connect.CodeResourceExhausted)
	}
	// Output:
	// false
	// true
}

// asker answers a service that has no annotations.
type asker struct {
	callsv1connect.UnimplementedPlainHandler
}

func (asker) Ask(_ context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	return &callsv1.EchoResponse{Payload: append([]byte("You asked: "), req.GetPayload()...)}, nil
}

// A service that nobody has annotated yet goes over the broker as requests, with names from its own.
func ExampleWithImplicit() {
	ctx := context.Background()
	rt, err := async.Open(ctx, async.WithURL("memory://"), async.WithApp("example"))
	if err != nil {
		panic(err)
	}
	server := connect.NewServer()
	callsv1connect.RegisterPlainHandler(server, asker{})
	if err := asyncconnect.Serve(rt, server, asyncconnect.WithImplicit()); err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	<-rt.Ready()

	client := callsv1connect.NewPlainClient(connect.NewClient(asyncconnect.NewTransport(rt, asyncconnect.WithImplicit())))
	res, err := client.Ask(ctx, &callsv1.EchoRequest{Payload: []byte("why?")})
	fmt.Println(string(res.GetPayload()), err)
	fmt.Println(rt.Close(), <-ended)
	// Output:
	// You asked: why? <nil>
	// <nil> <nil>
}
