package asyncotel_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// BenchmarkCost is what telemetry adds to a message: the calls of the observers for a send, a handling and a settlement, with
// nothing around them.
func BenchmarkCost(b *testing.B) {
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	every := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(dropped{}))
	for _, row := range []struct {
		name      string
		telemetry *asyncotel.Telemetry
	}{
		{"no SDK", asyncotel.New()},
		{"SDK at 1 %, traces", asyncotel.New(asyncotel.WithTracerProvider(tracers), asyncotel.WithMeterProvider(noop.NewMeterProvider()))},
		{"SDK at 1 %, traces and metrics", asyncotel.New(asyncotel.WithTracerProvider(tracers), asyncotel.WithMeterProvider(meters))},
		{"SDK, every trace", asyncotel.New(asyncotel.WithTracerProvider(every), asyncotel.WithMeterProvider(noop.NewMeterProvider()))},
	} {
		b.Run(row.name, func(b *testing.B) {
			spec := &async.Spec{
				Service: "acme.orders.v1.Orders", Method: "Ship", Kind: async.KindCommand, Topic: "ship", Group: "orders", Type: "acme.orders.v1.ShipRequest",
				Input: func() proto.Message { return new(ordersv1.ShipRequest) },
			}
			broker := memorytransport.New()
			send := row.telemetry.Observe(async.Endpoint{Spec: spec, Transport: broker, Topic: "ship"})
			receive := row.telemetry.Observe(async.Endpoint{
				Spec: spec, Transport: broker, Topic: "ship", Subscription: &transport.Subscription{Topic: "ship", Group: "orders"},
			})
			ctx := context.Background()
			at := transport.FormatInstant(time.Now())
			msg := &message.Message{Metadata: message.Metadata{transport.MetaID: "1", transport.MetaCreatedAt: at, transport.MetaSentAt: at}}
			b.ReportAllocs()
			for b.Loop() {
				out := &async.Outgoing{Spec: spec, ID: "1", Topic: "ship"}
				op := send.Send(ctx, &async.Sending{Outgoing: out, Start: time.Now()})
				if op != nil {
					send.Encoded(op, msg)
				}
				finish(op, async.Result{})
				in := &async.Receiving{Start: time.Now(), Deliveries: []async.ReceivedDelivery{{Message: msg, Attempt: 1}}}
				op = receive.Process(ctx, in)
				finish(op, async.Result{At: time.Now(), Attempt: 1, Tries: 1, Fate: async.FateAck})
				finish(receive.Settle(&async.Settling{Outcome: transport.Ack, Message: msg, Parent: op}), async.Result{})
			}
		})
	}
}

// dropped is a span processor that does nothing with what was recorded.
type dropped struct{}

func (dropped) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (dropped) OnEnd(sdktrace.ReadOnlySpan) {}

func (dropped) Shutdown(context.Context) error { return nil }

func (dropped) ForceFlush(context.Context) error { return nil }

// readings is how often the clock is read for the durations of a message: when its sending, its handling and its settlement begin
// and end.
const readings = 6

// BenchmarkSDK is what the SDK alone takes for the two spans and the six durations that the specification asks of a message that
// is sent, handled and acknowledged, everything prepared that can be: nothing that is built on it can cost less.
func BenchmarkSDK(b *testing.B) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01)))).Tracer("floor")
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())).Meter("floor")
	var durations [6]metric.Float64Histogram
	for n := range durations {
		var err error
		if durations[n], err = meter.Float64Histogram("duration" + strconv.Itoa(n)); err != nil {
			b.Fatal(err)
		}
	}
	attributes := []attribute.KeyValue{
		attribute.String("messaging.system", "in_memory"), attribute.String("messaging.operation.name", "publish"),
		attribute.String("messaging.operation.type", "send"), attribute.String("messaging.destination.name", "ship"),
		attribute.String("async.message.type", "acme.orders.v1.ShipRequest"), attribute.String("messaging.consumer.group.name", "orders"),
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attributes[:4]...)}
	recorded := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
	spans := func(ctx context.Context) context.Context {
		_, sent := tracer.Start(ctx, "publish ship", options...)
		sent.End()
		creation := sent.SpanContext()
		linked := append(options[:2:2], trace.WithLinks(trace.Link{SpanContext: creation}))
		inside, handled := tracer.Start(trace.ContextWithRemoteSpanContext(ctx, creation), "process ship", linked...)
		handled.End()
		return inside
	}
	b.Run("spans", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			spans(b.Context())
		}
	})
	record := func(ctx context.Context) {
		for _, h := range durations {
			h.Record(ctx, 0.003, recorded...)
		}
	}
	b.Run("durations", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			record(b.Context())
		}
	})
	b.Run("spans and durations", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			record(spans(b.Context()))
		}
	})
	b.Run("spans, durations, trace context and clock", func(b *testing.B) {
		carrier := make(propagation.MapCarrier)
		b.ReportAllocs()
		for b.Loop() {
			var at [readings]time.Time
			for n := range at {
				at[n] = time.Now()
			}
			ctx := spans(b.Context())
			propagation.TraceContext{}.Inject(ctx, carrier)
			propagation.TraceContext{}.Extract(ctx, carrier)
			record(ctx)
		}
	})
}

func finish(op async.Operation, r async.Result) {
	if op != nil {
		op.Context(context.Background())
		op.End(r)
	}
}

// BenchmarkMessage is one message from Send to the end of its handler in memory. What telemetry costs is the difference to
// "without".
func BenchmarkMessage(b *testing.B) {
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	for _, row := range []struct {
		name string
		opts []async.Option
	}{
		{"without", nil},
		{"no SDK", []async.Option{async.WithTelemetry(asyncotel.New())}},
		{"SDK at 1 %, traces", []async.Option{async.WithTelemetry(asyncotel.New(
			asyncotel.WithTracerProvider(tracers), asyncotel.WithMeterProvider(noop.NewMeterProvider()),
		))}},
		{"SDK at 1 %, traces and metrics", []async.Option{async.WithTelemetry(asyncotel.New(
			asyncotel.WithTracerProvider(tracers), asyncotel.WithMeterProvider(meters),
		))}},
	} {
		b.Run(row.name, func(b *testing.B) { benchmarkMessages(b, row.opts...) })
	}
}

func benchmarkMessages(b *testing.B, opts ...async.Option) {
	b.Helper()
	rt, err := async.Open(b.Context(), append(opts, async.WithURL("memory://"), async.WithConcurrency(1))...)
	if err != nil {
		b.Fatal(err)
	}
	handled := make(chan struct{}, 1)
	if err := ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
		handled <- struct{}{}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- rt.Run(ctx) }()
	<-rt.Ready()
	p := ordersv1async.NewOrdersPublisher(rt)
	msg := &ordersv1.ShipRequest{OrderId: "1"}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := p.Ship(ctx, msg); err != nil {
			b.Fatal(err)
		}
		<-handled
	}
	b.StopTimer()
	stop()
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
	if err := rt.Close(); err != nil {
		b.Fatal(err)
	}
}
