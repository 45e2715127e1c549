package asyncotel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

// streams is how many data points all metrics have, and how many of those have an attribute whose value contains a text.
func streams(metrics metricdata.ResourceMetrics, text string) (n, with int) {
	see := func(set attribute.Set) {
		n++
		if strings.Contains(set.Encoded(attribute.DefaultEncoder()), text) {
			with++
		}
	}
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					see(p.Attributes)
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					see(p.Attributes)
				}
			}
		}
	}
	return n, with
}

func TestTopicsOfAMiddlewareAreNoMetricStreams(t *testing.T) {
	t.Parallel()
	const few, messages = 50, 1000
	for name, row := range map[string]struct {
		opts     []asyncotel.Option
		measured bool
		span     string
	}{
		"a topic stands on the span alone": {nil, false, "publish tenant.999"},
		"a template stands in metrics too": {[]asyncotel.Option{asyncotel.WithDestinationTemplate(func(_ *async.Spec, destination string) string {
			if strings.HasPrefix(destination, "tenant.") {
				return "tenant.{id}"
			}
			return ""
		})}, true, "publish tenant.{id}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
			telemetry := asyncotel.New(append(
				row.opts,
				asyncotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))),
				asyncotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))),
			)...)
			// It sends on what it gets, to a topic for each customer.
			onward := func(next message.HandlerFunc) message.HandlerFunc {
				return func(msg *message.Message) ([]*message.Message, error) {
					produced, err := next(msg)
					out := msg.Copy()
					out.Metadata.Set("async-produce-topic", "tenant."+msg.Metadata.Get("tenant"))
					delete(out.Metadata, "traceparent")
					return append(produced, out), err
				}
			}
			rt, err := async.Open(t.Context(), async.WithURL("memory://"), async.WithTelemetry(telemetry), async.WithWatermillMiddleware(onward))
			if err != nil {
				t.Fatal(err)
			}
			handled := make(chan struct{}, messages)
			if err := ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
				handled <- struct{}{}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ran := make(chan error, 1)
			go func() { ran <- rt.Run(ctx) }()
			<-rt.Ready()
			orders := ordersv1async.NewOrdersPublisher(rt)
			collect := func() (metrics metricdata.ResourceMetrics) {
				if err := reader.Collect(t.Context(), &metrics); err != nil {
					t.Fatal(err)
				}
				return metrics
			}
			before := 0
			for n := range messages {
				if err := orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}, async.WithHeader("tenant", fmt.Sprint(n))); err != nil {
					t.Fatal(err)
				}
				<-handled
				if n == few {
					before, _ = streams(collect(), "tenant.")
				}
			}
			stop()
			if err := errors.Join(<-ran, rt.Close()); err != nil {
				t.Fatal(err)
			}
			after, named := streams(collect(), "tenant.")
			if after != before {
				t.Errorf("%d streams have become %d", before, after)
			}
			if (named > 0) != row.measured {
				t.Errorf("%d streams name the topic", named)
			}
			found := false
			for _, s := range recorder.Ended() {
				found = found || s.Name() == row.span
			}
			if !found {
				t.Errorf("there is no span %q", row.span)
			}
		})
	}
}
