package interceptors_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	validatepb "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"connectrpc.com/otelconnect"
	"connectrpc.com/validate"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
	"github.com/asyncpb/async/runtime/asyncotel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler answers, and says when a command was handled.
type handler struct {
	callsv1connect.UnimplementedCallsHandler
	noted chan trace.SpanContext
}

func (handler) Echo(_ context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	return &callsv1.EchoResponse{Payload: req.GetPayload()}, nil
}

func (h handler) Note(ctx context.Context, _ *callsv1.NoteRequest) (*emptypb.Empty, error) {
	h.noted <- trace.SpanContextFromContext(ctx)
	return new(emptypb.Empty), nil
}

// serve serves h on a broker in memory.
func serve(t *testing.T, h handler, interceptors []connect.ServerInterceptor, opts ...async.Option) *async.Runtime {
	t.Helper()
	rt, err := async.Open(t.Context(), append([]async.Option{async.WithURL("memory://"), async.WithApp("app")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	server := connect.NewServer(interceptors...)
	callsv1connect.RegisterCallsHandler(server, h)
	if err := asyncconnect.Serve(rt, server); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(context.Background()) }()
	<-rt.Ready()
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return rt
}

func TestOtelconnectTracesAcrossTheBroker(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	options := []otelconnect.Option{
		otelconnect.WithTracerProvider(provider), otelconnect.WithPropagator(propagation.TraceContext{}), otelconnect.WithTrustRemote(),
	}
	onServer, err := otelconnect.NewServerInterceptor(options...)
	if err != nil {
		t.Fatal(err)
	}
	onClient, err := otelconnect.NewClientInterceptor(options...)
	if err != nil {
		t.Fatal(err)
	}
	h := handler{noted: make(chan trace.SpanContext, 1)}
	rt := serve(t, h, []connect.ServerInterceptor{onServer})
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt), onClient))

	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"acme.calls.v1.Calls/Echo", func() error {
			_, err := client.Echo(t.Context(), new(callsv1.EchoRequest))
			return err
		}},
		{"acme.calls.v1.Calls/Note", func() error {
			_, err := client.Note(t.Context(), new(callsv1.NoteRequest))
			<-h.noted
			return err
		}},
	} {
		if err := call.do(); err != nil {
			t.Fatal(err)
		}
		spans := await(t, recorder, call.name, 2)
		var caller, handled sdktrace.ReadOnlySpan
		for _, span := range spans {
			if span.SpanKind() == trace.SpanKindClient {
				caller = span
			} else {
				handled = span
			}
		}
		if caller == nil || handled == nil {
			t.Fatalf("%s: the spans are %v", call.name, spans)
		}
		if handled.Parent().SpanID() != caller.SpanContext().SpanID() || handled.SpanContext().TraceID() != caller.SpanContext().TraceID() {
			t.Errorf("%s: the handler's span is a child of %v, want the caller's %v", call.name, handled.Parent(), caller.SpanContext())
		}
		if !slices.ContainsFunc(caller.Attributes(), func(a attribute.KeyValue) bool {
			return strings.HasSuffix(string(a.Key), "rpc.system.name") && a.Value.AsString() == asyncconnect.ProtocolName
		}) {
			t.Errorf("%s: the caller's span does not name the protocol: %v", call.name, caller.Attributes())
		}
	}
}

// TestTheTracesOfOtelconnectAndOfTheRuntimeAreOne walks from the span of otelconnect at the handler, parent by parent, to that at the caller.
func TestTheTracesOfOtelconnectAndOfTheRuntimeAreOne(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	// Without otelconnect.WithTrustRemote: the runtime has decided already whether a sender's trace goes on.
	options := []otelconnect.Option{otelconnect.WithTracerProvider(provider), otelconnect.WithPropagator(propagation.TraceContext{})}
	onServer, err := otelconnect.NewServerInterceptor(options...)
	if err != nil {
		t.Fatal(err)
	}
	onClient, err := otelconnect.NewClientInterceptor(options...)
	if err != nil {
		t.Fatal(err)
	}
	h := handler{noted: make(chan trace.SpanContext, 1)}
	telemetry := asyncotel.New(asyncotel.WithTracerProvider(provider), asyncotel.WithPropagator(propagation.TraceContext{}))
	rt := serve(t, h, []connect.ServerInterceptor{onServer}, async.WithTelemetry(telemetry))
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt), onClient))
	if _, err := client.Echo(t.Context(), new(callsv1.EchoRequest)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Note(t.Context(), new(callsv1.NoteRequest)); err != nil {
		t.Fatal(err)
	}
	<-h.noted
	for _, name := range []string{"Echo", "Note"} {
		// The runtime's span of a message ends a little after that of its handler.
		await(t, recorder, "process acme.calls.v1.Calls."+name, 1)
		var handled sdktrace.ReadOnlySpan
		byID := make(map[trace.SpanID]sdktrace.ReadOnlySpan)
		for _, span := range recorder.Ended() {
			byID[span.SpanContext().SpanID()] = span
			if span.Name() == "acme.calls.v1.Calls/"+name && span.SpanKind() == trace.SpanKindServer {
				handled = span
			}
		}
		var way []string
		for span := handled; span != nil; span = byID[span.Parent().SpanID()] {
			way = append(way, span.SpanKind().String()+" "+span.InstrumentationScope().Name)
		}
		const connects, ours = "connectrpc.com/otelconnect", asyncotel.ScopeName
		if want := []string{"server " + connects, "consumer " + ours, "client " + connects}; !slices.Equal(way, want) {
			t.Errorf("%s: the way from the handler to the caller is %q, want %q", name, way, want)
		}
	}
}

// await waits for the spans of a name.
func await(t *testing.T, recorder *tracetest.SpanRecorder, name string, n int) []sdktrace.ReadOnlySpan {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(10 * time.Second)
	for {
		var found []sdktrace.ReadOnlySpan
		for _, span := range recorder.Ended() {
			if span.Name() == name {
				found = append(found, span)
			}
		}
		if len(found) >= n {
			return found
		}
		select {
		case <-look.C:
		case <-deadline:
			var names []string
			for _, span := range recorder.Ended() {
				names = append(names, span.Name())
			}
			t.Fatalf("%s: %d spans, want %d; there are %q", name, len(found), n, names)
		}
	}
}

// wantsRow is a validator for which a request without a row is invalid.
type wantsRow struct{}

func (wantsRow) Validate(m proto.Message, _ ...protovalidate.ValidationOption) error {
	if req, ok := m.(*callsv1.EchoRequest); ok && req.GetRow() == "" {
		return &protovalidate.ValidationError{Violations: []*protovalidate.Violation{{Proto: &validatepb.Violation{Message: new("a row is required")}}}}
	}
	return nil
}

func TestValidateRefusesOnBothEnds(t *testing.T) {
	t.Parallel()
	option := validate.WithValidator(wantsRow{})
	for _, test := range []struct {
		name   string
		server []connect.ServerInterceptor
		client []connect.ClientInterceptor
		remote bool
	}{
		{"on the server", []connect.ServerInterceptor{validate.NewServerInterceptor(option)}, nil, true},
		{"on the client", nil, []connect.ClientInterceptor{validate.NewClientInterceptor(option)}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rt := serve(t, handler{}, test.server)
			client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt), test.client...))
			if _, err := client.Echo(t.Context(), &callsv1.EchoRequest{Row: "1"}); err != nil {
				t.Errorf("a valid request: %v", err)
			}
			_, err := client.Echo(t.Context(), new(callsv1.EchoRequest))
			refused, ok := errors.AsType[*connect.Error](err)
			if !ok || refused.Code() != connect.CodeInvalidArgument || refused.IsRemote() != test.remote || !strings.Contains(refused.Message(), "a row is required") {
				t.Fatalf("an invalid request: %v", err)
			}
			if len(refused.Details()) != 1 {
				t.Fatalf("%d details, want the violations", len(refused.Details()))
			}
			violations, err := connectproto.UnmarshalErrorDetail(refused.Details()[0])
			if err != nil || violations.ProtoReflect().Descriptor().FullName() != "buf.validate.Violations" {
				t.Errorf("the detail is %v, %v", violations, err)
			}
		})
	}
}
