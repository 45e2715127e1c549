package asyncotel_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

func TestARouterOfOnesOwnRepliesInsideOfTheHandling(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	broker := memorytransport.New()
	open := func() *async.Runtime {
		rt, err := async.Open(t.Context(), async.WithTransport(broker), async.WithTelemetry(asyncotel.New(asyncotel.WithTracerProvider(tracers))))
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}
	server, client := open(), open()
	if err := ordersv1async.NewOrdersSubscriber(server).OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		return &ordersv1.QuoteResponse{Cents: 7}, nil
	}); err != nil {
		t.Fatal(err)
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, watermill.NopLogger{})
	if err := errors.Join(err, server.MountOn(router)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- router.Run(ctx) }()
	<-router.Running()
	if _, err := ordersv1async.NewOrdersClient(client).Quote(t.Context(), &ordersv1.QuoteRequest{}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := errors.Join(<-ran, client.Close(), server.Close()); err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]tracetest.SpanStub)
	for _, span := range exporter.GetSpans() {
		byName[span.Name[:5]] = span
	}
	process, reply, received := byName["proce"], byName["reply"], byName["recei"]
	if !reply.SpanContext.IsValid() || reply.Parent.SpanID() != process.SpanContext.SpanID() {
		t.Errorf("the reply is the child of %s, want that of the handling, %s", reply.Parent.SpanID(), process.SpanContext.SpanID())
	}
	if len(received.Links) != 1 || received.Links[0].SpanContext.SpanID() != reply.SpanContext.SpanID() {
		t.Errorf("the reply was received with the links %v, want one to %s", received.Links, reply.SpanContext.SpanID())
	}
}
