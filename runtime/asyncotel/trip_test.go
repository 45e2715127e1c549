package asyncotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

// trip is what telemetry tells of messages that were sent and handled in memory.
type trip struct {
	rt      *async.Runtime
	orders  ordersv1async.OrdersPublisher
	pulls   *ordersv1async.OrdersSubscriber
	spans   []sdktrace.ReadOnlySpan
	metrics metricdata.ResourceMetrics
}

// travel calls play in a span "order" while a handler of Ship runs whose first failures calls fail, and waits until handled calls
// have returned. Without calls to wait for, no handler runs.
func travel(play func(ctx context.Context, t *trip) error, failures, handled int, opts ...asyncotel.Option) (*trip, error) {
	recorder, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	telemetry := asyncotel.New(append([]asyncotel.Option{asyncotel.WithTracerProvider(tracers), asyncotel.WithMeterProvider(meters)}, opts...)...)
	rt, err := async.Open(context.Background(), async.WithConfigFile("testdata/immediate.yaml"), async.WithTelemetry(telemetry))
	if err != nil {
		return nil, err
	}
	t := &trip{rt: rt, orders: ordersv1async.NewOrdersPublisher(rt), pulls: ordersv1async.NewOrdersSubscriber(rt)}
	called := make(chan struct{}, handled)
	ran := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if handled > 0 {
		var calls atomic.Int32
		if err := t.pulls.OnShip(func(context.Context, *ordersv1.ShipRequest) error {
			defer func() { called <- struct{}{} }()
			if int(calls.Add(1)) <= failures {
				return errors.New("the ferry is late")
			}
			return nil
		}); err != nil {
			return nil, err
		}
		go func() { ran <- rt.Run(ctx) }()
		<-rt.Ready()
	} else {
		ran <- nil
	}
	caller, order := tracers.Tracer("program").Start(context.Background(), "order")
	err = play(caller, t)
	order.End()
	for range handled {
		<-called
	}
	stop()
	if err := errors.Join(err, <-ran, rt.Close(), reader.Collect(context.Background(), &t.metrics)); err != nil {
		return nil, err
	}
	t.spans = recorder.Ended()
	return t, nil
}

// ship sends one message.
func ship(ctx context.Context, t *trip) error {
	return t.orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}, async.WithHeader("Tenant", "acme"))
}

// tree is the spans by their names, each below its parent, in alphabetical order, with the attributes named.
func (t *trip) tree(attributes ...string) string {
	children := make(map[trace.SpanID][]sdktrace.ReadOnlySpan)
	known := make(map[trace.SpanID]bool)
	for _, s := range t.spans {
		known[s.SpanContext().SpanID()] = true
	}
	for _, s := range t.spans {
		parent := s.Parent().SpanID()
		if !known[parent] {
			parent = trace.SpanID{}
		}
		children[parent] = append(children[parent], s)
	}
	var draw func(parent trace.SpanID, depth int) string
	draw = func(parent trace.SpanID, depth int) string {
		var rows []string
		for _, s := range children[parent] {
			row := strings.Repeat("  ", depth) + s.SpanKind().String() + " " + s.Name()
			for _, a := range s.Attributes() {
				if slices.Contains(attributes, string(a.Key)) {
					row += fmt.Sprintf(" %s=%s", a.Key, a.Value.String())
				}
			}
			rows = append(rows, row+"\n"+draw(s.SpanContext().SpanID(), depth+1))
		}
		slices.Sort(rows)
		return strings.Join(rows, "")
	}
	return draw(trace.SpanID{}, 0)
}
