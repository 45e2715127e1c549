package asyncotel_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

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
