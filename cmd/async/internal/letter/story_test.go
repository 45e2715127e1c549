package letter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/cmd/async/internal/letter"
	"github.com/asyncpb/async/cmd/async/internal/place"
	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// TestAReplayTellsTheRestOfItsMessagesStory has a message fail twice and be replayed a week later: all of it is one trace, the
// attempts of the replay are counted anew, and only the first delivery has waited in the queue.
func TestAReplayTellsTheRestOfItsMessagesStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		recorder, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
		tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
		meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		broker := memorytransport.New()
		rt, err := async.Open(t.Context(), async.WithTransport(broker), async.WithTelemetry(asyncotel.New(asyncotel.WithTracerProvider(tracers), asyncotel.WithMeterProvider(meters))))
		if err != nil {
			t.Fatal(err)
		}
		spec := &async.Spec{
			Service: "acme.Orders", Method: "Ship", Kind: async.KindCommand, Topic: "acme.Orders.Ship", Group: "orders", Type: "acme.orders.v1.ShipRequest",
			Policy: async.Policy{Retry: async.Retry{MaxAttempts: new(uint32(2)), MinBackoff: new(time.Second), MaxBackoff: new(time.Second)}},
			Input:  func() proto.Message { return new(ordersv1.ShipRequest) },
		}
		calls, done := 0, make(chan struct{})
		if err := async.Handle(rt, spec, func(context.Context, *ordersv1.ShipRequest) error {
			if calls++; calls <= 2 {
				return errors.New("the ferry is late")
			}
			close(done)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		running, stop := context.WithCancel(context.Background())
		ran := make(chan error, 1)
		go func() { ran <- rt.Run(running) }()
		<-rt.Ready()
		if err := async.NewPublisher[*ordersv1.ShipRequest](rt, spec).Send(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(7 * 24 * time.Hour)
		dead := place.Place{Transport: broker, Topic: spec.Topic, Group: spec.Group, Dead: transport.DeadName(spec.Topic, spec.Group)}
		replayed, err := letter.Walk(t.Context(), dead, letter.Pattern{}, 0, func(ctx context.Context, l *letter.Letter) (bool, error) {
			return true, letter.Replay(ctx, broker, l)
		})
		if err != nil || replayed != 1 {
			t.Fatalf("%d letters were replayed: %v", replayed, err)
		}
		<-done
		stop()
		var metrics metricdata.ResourceMetrics
		if err := errors.Join(<-ran, rt.Close(), reader.Collect(context.Background(), &metrics)); err != nil {
			t.Fatal(err)
		}
		var attempts []int64
		for _, s := range recorder.Ended() {
			if s.SpanContext().TraceID() != recorder.Ended()[0].SpanContext().TraceID() {
				t.Errorf("span %q is in a trace of its own", s.Name())
			}
			if !strings.HasPrefix(s.Name(), "process ") {
				continue
			}
			set := attribute.NewSet(s.Attributes()...)
			attempt, _ := set.Value("async.delivery.attempt")
			attempts = append(attempts, attempt.AsInt64())
			if waited := set.HasValue("async.queue.duration"); waited != (len(attempts) == 1) {
				t.Errorf("handling %d tells that it has waited in the queue: %t", len(attempts), waited)
			}
		}
		if len(attempts) != 3 || attempts[0] != 1 || attempts[1] != 2 || attempts[2] != 1 {
			t.Errorf("the attempts are %v, want 1, 2, and 1 again", attempts)
		}
		for _, scope := range metrics.ScopeMetrics {
			for _, m := range scope.Metrics {
				if queue, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "async.message.queue.duration" && queue.DataPoints[0].Count != 1 {
					t.Errorf("%d times in the queue were recorded, want 1", queue.DataPoints[0].Count)
				}
			}
		}
	})
}
