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
	"go.opentelemetry.io/otel/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	_ "github.com/asyncpb/async/runtime/transport/gochanneltransport"
)

func TestASenderMayWishForATraceMode(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		wish   async.TraceMode
		opts   []asyncotel.Option
		sub    []async.SubscribeOption
		joined bool
		mode   string
	}{
		"without a wish the trace goes on":                   {joined: true, mode: "continue"},
		"a wish for a link begins a trace":                   {wish: async.TraceLink, mode: "link"},
		"a wish wins over the receiver's default":            {wish: async.TraceContinue, opts: []asyncotel.Option{asyncotel.WithTraceMode(async.TraceLink)}, joined: true, mode: "continue"},
		"the subscription wins over the wish":                {wish: async.TraceLink, sub: []async.SubscribeOption{async.WithTraceMode(async.TraceContinue)}, joined: true, mode: "continue"},
		"who does not trust does not hear the wish":          {wish: async.TraceContinue, opts: []asyncotel.Option{asyncotel.WithTraceMode(async.TraceUntrusted)}, mode: "untrusted"},
		"to wish for distrust is no wish: the trace goes on": {wish: async.TraceUntrusted, joined: true, mode: "continue"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := tracetest.NewSpanRecorder()
			tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
			rt, err := async.Open(t.Context(), async.WithURL("memory://"), async.WithTelemetry(asyncotel.New(append(row.opts, asyncotel.WithTracerProvider(tracers))...)))
			if err != nil {
				t.Fatal(err)
			}
			handled := make(chan trace.SpanContext, 1)
			if err := ordersv1async.NewOrdersSubscriber(rt, row.sub...).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error {
				handled <- trace.SpanContextFromContext(ctx)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ran := make(chan error, 1)
			go func() { ran <- rt.Run(ctx) }()
			<-rt.Ready()
			caller, span := tracers.Tracer("program").Start(asyncotel.ContextWithTraceMode(ctx, row.wish), "program")
			if err := ordersv1async.NewOrdersPublisher(rt).Ship(caller, &ordersv1.ShipRequest{OrderId: "A-3"}); err != nil {
				t.Fatal(err)
			}
			got := <-handled
			span.End()
			stop()
			if err := errors.Join(<-ran, rt.Close()); err != nil {
				t.Fatal(err)
			}
			if joined := got.TraceID() == span.SpanContext().TraceID(); joined != row.joined {
				t.Errorf("the handler is in the sender's trace: %t", joined)
			}
			for _, s := range recorder.Ended() {
				if strings.HasPrefix(s.Name(), "process ") {
					set := attribute.NewSet(s.Attributes()...)
					if mode, _ := set.Value("async.trace.mode"); mode.AsString() != row.mode {
						t.Errorf("async.trace.mode is %q, want %q", mode.AsString(), row.mode)
					}
				}
			}
		})
	}
}

func TestAPulledMessageThatIsSettledHasItsTotalDuration(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		verdict   error
		transport string
		want      uint64
		errorType string
	}{
		"done":                             {nil, "memory://", 1, ""},
		"done, where nobody tells":         {nil, "gochannel://", 1, ""},
		"failed for good":                  {async.Reject(errors.New("no such order")), "memory://", 1, "async.dead_letter"},
		"to be tried again: it has no end": {errors.New("the ferry is late"), "memory://", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader := sdkmetric.NewManualReader()
			telemetry := asyncotel.New(asyncotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
			rt, err := async.Open(t.Context(), async.WithURL(row.transport), async.WithTelemetry(telemetry))
			if err != nil {
				t.Fatal(err)
			}
			sub := ordersv1async.NewOrdersSubscriber(rt)
			publish := func() {
				if err := ordersv1async.NewOrdersPublisher(rt).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "A-3"}); err != nil {
					t.Fatal(err)
				}
			}
			publish()
			d, err := sub.ReceiveShip(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Settle(t.Context(), row.verdict); err != nil {
				t.Fatal(err)
			}
			if err := rt.Close(); err != nil {
				t.Fatal(err)
			}
			var metrics metricdata.ResourceMetrics
			if err := reader.Collect(t.Context(), &metrics); err != nil {
				t.Fatal(err)
			}
			for _, metric := range []string{"async.message.receive.duration", "async.message.total.duration"} {
				n, kind := countOf(metrics, metric)
				if n != row.want || kind != row.errorType {
					t.Errorf("%s counts %d with error.type %q, want %d with %q", metric, n, kind, row.want, row.errorType)
				}
			}
		})
	}
}

// countOf is how many durations a histogram has, and the error.type of the last.
func countOf(metrics metricdata.ResourceMetrics, name string) (n uint64, kind string) {
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			durations, ok := m.Data.(metricdata.Histogram[float64])
			if !ok || m.Name != name {
				continue
			}
			for _, p := range durations.DataPoints {
				value, _ := p.Attributes.Value("error.type")
				n, kind = n+p.Count, value.AsString()
			}
		}
	}
	return n, kind
}
