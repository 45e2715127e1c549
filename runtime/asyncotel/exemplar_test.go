package asyncotel_test

import (
	"context"
	"errors"
	"strings"
	"testing"

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

// shipOne sends one message to its handler and returns the spans and the metrics.
func shipOne(t *testing.T, sampler sdktrace.Sampler) (tracetest.SpanStubs, metricdata.ResourceMetrics) {
	t.Helper()
	exporter, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	telemetry := asyncotel.New(
		asyncotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithSampler(sampler))),
		asyncotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))),
	)
	rt, err := async.Open(t.Context(), async.WithURL("memory://"), async.WithTelemetry(telemetry))
	if err != nil {
		t.Fatal(err)
	}
	handled := make(chan struct{})
	if err := ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
		close(handled)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- rt.Run(ctx) }()
	<-rt.Ready()
	if err := ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-3"}); err != nil {
		t.Fatal(err)
	}
	<-handled
	stop()
	if err := errors.Join(<-ran, rt.Close()); err != nil {
		t.Fatal(err)
	}
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	return exporter.GetSpans(), metrics
}

// exemplars are those of each histogram, by metric and operation.
func exemplars(metrics metricdata.ResourceMetrics) map[string][]metricdata.Exemplar[float64] {
	all := make(map[string][]metricdata.Exemplar[float64])
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			durations, ok := m.Data.(metricdata.Histogram[float64])
			if !ok {
				continue
			}
			for _, p := range durations.DataPoints {
				operation, _ := p.Attributes.Value(attribute.Key("messaging.operation.name"))
				name := m.Name + " " + operation.AsString()
				all[name] = append(all[name], p.Exemplars...)
			}
		}
	}
	return all
}

func TestEveryHistogramNamesTheSpanThatItWasRecordedFor(t *testing.T) {
	t.Parallel()
	spans, metrics := shipOne(t, sdktrace.AlwaysSample())
	found := exemplars(metrics)
	for name, operation := range map[string]string{
		"messaging.client.operation.duration publish": "publish",
		"messaging.client.operation.duration ack":     "ack",
		"messaging.process.duration process":          "process",
		"async.message.queue.duration process":        "process",
		"async.message.receive.duration process":      "process",
		"async.message.total.duration process":        "process",
	} {
		var want tracetest.SpanStub
		for _, span := range spans {
			if strings.HasPrefix(span.Name, operation+" ") {
				want = span
			}
		}
		if got := found[name]; len(got) != 1 {
			t.Errorf("%s has %d exemplars, want 1", name, len(got))
		} else if id, in := want.SpanContext.SpanID(), want.SpanContext.TraceID(); string(got[0].SpanID) != string(id[:]) || string(got[0].TraceID) != string(in[:]) {
			t.Errorf("%s names span %x of trace %x, want %s of %s", name, got[0].SpanID, got[0].TraceID, id, in)
		}
	}
}

func TestWhatIsNotSampledIsNoExemplar(t *testing.T) {
	t.Parallel()
	_, metrics := shipOne(t, sdktrace.NeverSample())
	found := exemplars(metrics)
	if len(found) == 0 {
		t.Error("no histogram was recorded")
	}
	for name, got := range found {
		if len(got) > 0 {
			t.Errorf("%s has %d exemplars of spans that nobody can find", name, len(got))
		}
	}
}
