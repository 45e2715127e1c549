package asyncotel_test

import (
	"context"
	"errors"
	"testing"
	"time"

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

// handleBatch hands two messages to a batch handler, and returns the spans and the metrics of everything until they are all settled.
func handleBatch(t *testing.T, handle func(context.Context, []*async.Delivery[*ordersv1.ShipRequest]) error) ([]sdktrace.ReadOnlySpan, metricdata.ResourceMetrics) {
	t.Helper()
	recorder, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	telemetry := asyncotel.New(
		asyncotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))),
		asyncotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))),
	)
	rt, err := async.Open(t.Context(), async.WithURL("memory://"), async.WithTelemetry(telemetry))
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan struct{}, 1)
	if err := ordersv1async.NewOrdersSubscriber(rt, async.WithBatch(2, time.Minute)).OnShipBatch(func(ctx context.Context, all []*async.Delivery[*ordersv1.ShipRequest]) error {
		defer func() { called <- struct{}{} }()
		return handle(ctx, all)
	}); err != nil {
		t.Fatal(err)
	}
	orders := ordersv1async.NewOrdersPublisher(rt)
	for _, id := range []string{"A-1", "A-2"} {
		if err := orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: id}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- rt.Run(ctx) }()
	select {
	case <-called:
	case <-time.After(20 * time.Second):
		t.Fatal("the handler was not called")
	}
	stop()
	if err := errors.Join(<-ran, rt.Close()); err != nil {
		t.Fatal(err)
	}
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	return recorder.Ended(), metrics
}

func TestEachMessageOfABatchHasItsOwnEnd(t *testing.T) {
	t.Parallel()
	no := errors.New("nobody goes there")
	settleAll := func(verdict error) func(context.Context, []*async.Delivery[*ordersv1.ShipRequest]) error {
		return func(ctx context.Context, all []*async.Delivery[*ordersv1.ShipRequest]) error {
			for _, d := range all {
				if err := d.Settle(ctx, verdict); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, row := range map[string]struct {
		handle        func(context.Context, []*async.Delivery[*ordersv1.ShipRequest]) error
		ended, failed uint64
		onSpan        bool
	}{
		"all are done": {func(context.Context, []*async.Delivery[*ordersv1.ShipRequest]) error { return nil }, 2, 0, true},
		"the batch fails for good": {func(context.Context, []*async.Delivery[*ordersv1.ShipRequest]) error {
			return async.Reject(no)
		}, 2, 2, false},
		"each is rejected, and the batch succeeds":      {settleAll(async.Reject(no)), 2, 2, true},
		"each is dropped":                               {settleAll(async.Drop("nobody waits")), 2, 0, true},
		"each is to be tried again: none is at its end": {settleAll(async.RetryAfter(time.Hour, no)), 0, 0, false},
		"the batch is to be tried again": {func(context.Context, []*async.Delivery[*ordersv1.ShipRequest]) error {
			return async.RetryAfter(time.Hour, no)
		}, 0, 0, false},
		"one is rejected and the other is left to success": {func(ctx context.Context, all []*async.Delivery[*ordersv1.ShipRequest]) error {
			return all[0].Settle(ctx, async.Reject(no))
		}, 2, 1, true},
		"one is processed by itself, and fails": {func(ctx context.Context, all []*async.Delivery[*ordersv1.ShipRequest]) error {
			_ = all[0].Process(ctx, func(context.Context, *ordersv1.ShipRequest) error { return async.Reject(no) })
			return nil
		}, 2, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans, metrics := handleBatch(t, row.handle)
			for _, metric := range []string{"async.message.receive.duration", "async.message.total.duration"} {
				ended, failed := endsOf(metrics, metric)
				if ended != row.ended || failed != row.failed {
					t.Errorf("%s has %d ends, %d of them with an error.type; want %d and %d", metric, ended, failed, row.ended, row.failed)
				}
			}
			for _, s := range spans {
				set := attribute.NewSet(s.Attributes()...)
				if _, batch := set.Value("messaging.batch.message_count"); !batch {
					continue
				}
				for _, l := range s.Links() {
					told := attribute.NewSet(l.Attributes...)
					waited, _ := told.Value("async.queue.duration")
					if clock, _ := told.Value("async.queue.clock"); waited.AsFloat64() <= 0 || clock.AsString() != "producer" {
						t.Errorf("a link says that a message waited for %f s by the clock of %q", waited.AsFloat64(), clock.AsString())
					}
				}
				for _, key := range []attribute.Key{"async.receive.duration", "async.total.duration"} {
					if took, told := set.Value(key); told != row.onSpan || told && took.AsFloat64() <= 0 {
						t.Errorf("span %q has %s %f: %t, want %t", s.Name(), key, took.AsFloat64(), told, row.onSpan)
					}
				}
			}
		})
	}
}

// endsOf is how many durations a histogram has, and how many of them with an error.type.
func endsOf(metrics metricdata.ResourceMetrics, name string) (n, failed uint64) {
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			durations, ok := m.Data.(metricdata.Histogram[float64])
			if !ok || m.Name != name {
				continue
			}
			for _, p := range durations.DataPoints {
				n += p.Count
				if p.Attributes.HasValue("error.type") {
					failed += p.Count
				}
			}
		}
	}
	return n, failed
}
