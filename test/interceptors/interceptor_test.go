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
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1async"
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

func TestOtelconnectTracesAcrossTheBroker(t *testing.T) {
	t.Parallel()
	onEachBroker(t, tracesAcross)
}

func tracesAcross(t *testing.T, broker place) {
	t.Helper()
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
	rt := broker.serve(t, h, []connect.ServerInterceptor{onServer})
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
		spans := await(t, recorder, 2, func(span string) bool { return span == call.name })
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
	onEachBroker(t, joinsTraces)
}

func joinsTraces(t *testing.T, broker place) {
	t.Helper()
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
	rt := broker.serve(t, h, []connect.ServerInterceptor{onServer}, async.WithTelemetry(telemetry))
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt), onClient))
	if _, err := client.Echo(t.Context(), new(callsv1.EchoRequest)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Note(t.Context(), new(callsv1.NoteRequest)); err != nil {
		t.Fatal(err)
	}
	<-h.noted
	const connects, ours = "connectrpc.com/otelconnect", asyncotel.ScopeName
	for _, name := range []string{"Echo", "Note"} {
		if way, want := wayBack(t, recorder, name), []string{"server " + connects, "consumer " + ours, "client " + connects}; !slices.Equal(way, want) {
			t.Errorf("%s: the way from the handler to the caller is %q, want %q", name, way, want)
		}
	}
}

// TestTheTraceOfADelayedSendReachesOtelconnect sends later what a Connect handler takes: its span belongs to the trace in which it was sent.
func TestTheTraceOfADelayedSendReachesOtelconnect(t *testing.T) {
	t.Parallel()
	onEachBroker(t, followsADelay)
}

func followsADelay(t *testing.T, broker place) {
	t.Helper()
	const delay = time.Second // the shortest on RabbitMQ
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	onServer, err := otelconnect.NewServerInterceptor(otelconnect.WithTracerProvider(provider), otelconnect.WithPropagator(propagation.TraceContext{}))
	if err != nil {
		t.Fatal(err)
	}
	h := handler{noted: make(chan trace.SpanContext, 1)}
	telemetry := asyncotel.New(asyncotel.WithTracerProvider(provider), asyncotel.WithPropagator(propagation.TraceContext{}))
	rt := broker.serve(t, h, []connect.ServerInterceptor{onServer}, async.WithTelemetry(telemetry))
	ctx, order := provider.Tracer("shop").Start(t.Context(), "order")
	begin := time.Now()
	if err := callsv1async.NewCallsPublisher(rt).Note(ctx, new(callsv1.NoteRequest), async.WithDelay(delay)); err != nil {
		t.Fatal(err)
	}
	order.End()
	var handled trace.SpanContext
	select {
	case handled = <-h.noted:
	case <-time.After(30 * time.Second):
		t.Fatal("it is not handled")
	}
	if took := time.Since(begin); took < delay {
		t.Errorf("it was handled after %s already, want %s at least", took, delay)
	}
	if handled.TraceID() != order.SpanContext().TraceID() {
		t.Errorf("it was handled in the trace %s, want that of the send, %s", handled.TraceID(), order.SpanContext().TraceID())
	}
	want := []string{"server connectrpc.com/otelconnect", "consumer " + asyncotel.ScopeName, "producer " + asyncotel.ScopeName, "internal shop"}
	if way := wayBack(t, recorder, "Note"); !slices.Equal(way, want) {
		t.Errorf("the way from the handler to the sender is %q, want %q", way, want)
	}
}

// wayBack walks from the span of otelconnect at the handler, parent by parent.
func wayBack(t *testing.T, recorder *tracetest.SpanRecorder, method string) []string {
	t.Helper()
	// The runtime's span of a message ends a little after that of its handler.
	await(t, recorder, 1, func(span string) bool {
		return strings.HasPrefix(span, "process ") && strings.Contains(span, ".Calls."+method)
	})
	var handled sdktrace.ReadOnlySpan
	byID := make(map[trace.SpanID]sdktrace.ReadOnlySpan)
	for _, span := range recorder.Ended() {
		byID[span.SpanContext().SpanID()] = span
		if span.Name() == "acme.calls.v1.Calls/"+method && span.SpanKind() == trace.SpanKindServer {
			handled = span
		}
	}
	var way []string
	for span := handled; span != nil; span = byID[span.Parent().SpanID()] {
		way = append(way, span.SpanKind().String()+" "+span.InstrumentationScope().Name)
	}
	return way
}

// await waits for n spans with a name that is right.
func await(t *testing.T, recorder *tracetest.SpanRecorder, n int, right func(name string) bool) []sdktrace.ReadOnlySpan {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(10 * time.Second)
	for {
		var found []sdktrace.ReadOnlySpan
		for _, span := range recorder.Ended() {
			if right(span.Name()) {
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
			t.Fatalf("%d spans, want %d; there are %q", len(found), n, names)
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
			onEachBroker(t, func(t *testing.T, broker place) {
				t.Helper()
				rt := broker.serve(t, handler{}, test.server)
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
		})
	}
}
