package asyncotel_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

// A message is in one trace, from the call that sends it to its settlement.
func ExampleNew() {
	ctx := context.Background()
	recorder := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	rt, err := async.Open(ctx, async.WithURL("memory://"), async.WithTelemetry(asyncotel.New(asyncotel.WithTracerProvider(tracers))))
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := ordersv1async.NewOrdersSubscriber(rt)
	if err := ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}); err != nil {
		fmt.Println(err)
		return
	}
	delivery, err := orders.ReceiveShip(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := delivery.Settle(ctx, nil); err != nil {
		fmt.Println(err)
		return
	}
	if err := rt.Close(); err != nil {
		fmt.Println(err)
		return
	}
	for _, span := range recorder.Ended() {
		fmt.Println(span.SpanKind(), span.Name())
	}
	// Output:
	// producer publish acme.orders.v1.Orders.Ship
	// client receive acme.orders.v1.Orders.Ship
	// client ack acme.orders.v1.Orders.Ship
}

func ExampleLogHandler() {
	plain := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	log := slog.New(asyncotel.LogHandler(plain))
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
	}))
	log.InfoContext(ctx, "shipped")
	log.Info("outside")
	// Output:
	// level=INFO msg=shipped trace_id=01000000000000000000000000000000 span_id=0200000000000000
	// level=INFO msg=outside
}
