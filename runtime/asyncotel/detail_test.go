package asyncotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport"
)

func mustTravel(t *testing.T, play func(context.Context, *trip) error, failures, handled int, opts ...asyncotel.Option) *trip {
	t.Helper()
	done, err := travel(play, failures, handled, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// named returns the spans whose names begin so.
func (t *trip) named(prefix string) (found []sdktrace.ReadOnlySpan) {
	for _, s := range t.spans {
		if strings.HasPrefix(s.Name(), prefix) {
			found = append(found, s)
		}
	}
	return found
}

// sets are the sets of attributes of a metric, in alphabetical order.
func (t *trip) sets(metric string) (found []string) {
	for _, scope := range t.metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != metric {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					found = append(found, fmt.Sprintf("%d of %s", p.Count, p.Attributes.Encoded(attribute.DefaultEncoder())))
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					found = append(found, fmt.Sprintf("%d of %s", p.Value, p.Attributes.Encoded(attribute.DefaultEncoder())))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

func TestABatchWithoutCreateSpans(t *testing.T) {
	t.Parallel()
	const elsewhere = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	batch := func(ctx context.Context, t *trip) error {
		sent := 0
		own := async.WithInterceptors(async.Interceptor{Send: func(next async.SendFunc) async.SendFunc {
			return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
				if sent++; sent == 2 {
					out.Metadata = map[string]string{transport.MetaTraceparent: elsewhere}
				}
				return next(ctx, out)
			}
		}})
		return ordersv1async.NewOrdersPublisher(t.rt, own).ShipBatch(ctx, []*ordersv1.ShipRequest{{OrderId: "1"}, {OrderId: "2"}, {OrderId: "3"}})
	}
	done := mustTravel(t, batch, 0, 3, asyncotel.WithoutCreateSpans())
	sends, creates := done.named("publish"), done.named("create")
	if len(sends) != 1 || len(creates) != 0 {
		t.Fatalf("%d sends and %d creations, want 1 and 0", len(sends), len(creates))
	}
	send := sends[0]
	if send.SpanKind() != trace.SpanKindProducer {
		t.Errorf("the kind is %s: its context is that of the messages' creation", send.SpanKind())
	}
	if len(send.Links()) != 1 || send.Links()[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("the links are %v, want one to what was created elsewhere", send.Links())
	}
	joined := 0
	for _, p := range done.named("process") {
		if p.Parent().SpanID() == send.SpanContext().SpanID() {
			joined++
		}
	}
	if joined != 2 {
		t.Errorf("%d handlings are children of the sending, want 2", joined)
	}
	want := []string{"3 of async.message.type=acme.orders.v1.ShipRequest,messaging.destination.name=acme.orders.v1.Orders.Ship,messaging.operation.name=publish,messaging.system=in_memory"}
	if diff := cmp.Diff(want, done.sets("messaging.client.sent.messages")); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if pending := done.sets("async.publish.pending"); len(pending) != 1 || !strings.HasPrefix(pending[0], "0 of ") {
		t.Errorf("pending: %v", pending)
	}
}

func TestTheSpansOfARequestWithoutOneAroundThem(t *testing.T) {
	t.Parallel()
	quote := func(ctx context.Context, t *trip) error {
		if err := t.pulls.OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			return &ordersv1.QuoteResponse{Cents: 7}, nil
		}); err != nil {
			return err
		}
		ctx, stop := context.WithTimeout(ctx, 20*time.Second)
		defer stop()
		running, end := context.WithCancel(context.Background())
		ran := make(chan error, 1)
		go func() { ran <- t.rt.Run(running) }()
		<-t.rt.Ready()
		_, err := ordersv1async.NewOrdersClient(t.rt).Quote(ctx, &ordersv1.QuoteRequest{})
		end()
		return errors.Join(err, <-ran)
	}
	done := mustTravel(t, quote, 0, 0, asyncotel.WithoutRequestRPCSpan(), asyncotel.WithoutSettleSpans())
	want := `internal order
  client receive
  producer request acme.orders.v1.Orders.Quote
    consumer process acme.orders.v1.Orders.Quote
      producer reply
`
	if diff := cmp.Diff(want, done.tree()); diff != "" {
		t.Errorf("the spans (-want +got):\n%s", diff)
	}
	if calls := done.sets("rpc.client.call.duration"); len(calls) != 1 {
		t.Errorf("the calls have the durations %v, want one", calls)
	}
}

func TestAttemptsAndTheHandlersContext(t *testing.T) {
	t.Parallel()
	done := mustTravel(t, ship, 1, 2, asyncotel.WithAttemptSpans())
	for n, s := range done.named("attempt") {
		if failed := s.Status().Code == codes.Error; failed != (n == 0) {
			t.Errorf("attempt %d has the status %v", n+1, s.Status())
		}
	}
	for _, s := range done.named("process") {
		if s.Status().Code != codes.Unset {
			t.Errorf("the handling, which has succeeded, has the status %v", s.Status())
		}
	}
	pulled := func(ctx context.Context, t *trip) error {
		if err := ship(ctx, t); err != nil {
			return err
		}
		d, err := t.pulls.ReceiveShip(ctx)
		if err != nil {
			return err
		}
		return d.Process(context.Background(), func(ctx context.Context, _ *ordersv1.ShipRequest) error {
			return ordersv1async.NewOrderEventsPublisher(t.rt).Placed(ctx, &ordersv1.OrderPlaced{OrderId: "A-1"})
		})
	}
	done = mustTravel(t, pulled, 0, 0, asyncotel.WithAttemptSpans(), asyncotel.WithoutSettleSpans())
	want := `internal order
  client receive acme.orders.v1.Orders.Ship
  producer publish acme.orders.v1.Orders.Ship
    consumer process acme.orders.v1.Orders.Ship
      internal attempt
        producer publish acme.orders.v1.OrderEvents.Placed
`
	if diff := cmp.Diff(want, done.tree()); diff != "" {
		t.Errorf("the spans of a pulled message (-want +got):\n%s", diff)
	}
}

func TestTheQueueSpanIsTheTimeBetweenHandOverAndHandler(t *testing.T) {
	t.Parallel()
	done := mustTravel(t, ship, 1, 2, asyncotel.WithQueueSpans())
	queues, handlings := done.named("queue"), done.named("process")
	if len(queues) != 1 || len(handlings) != 1 {
		t.Fatalf("%d queue spans and %d handlings, want 1 and 1", len(queues), len(handlings))
	}
	queue, handling := queues[0], handlings[0]
	if queue.Parent().SpanID() != handling.Parent().SpanID() {
		t.Error("the two are no siblings")
	}
	// The handling's span starts a moment after the time at which the handler's work began.
	if gap := handling.StartTime().Sub(queue.EndTime()); gap < 0 || gap > time.Second {
		t.Errorf("the handling begins %s after the queue's end", gap)
	}
	if done := mustTravel(t, ship, 0, 1, asyncotel.WithQueueSpans(), asyncotel.WithTraceMode(async.TraceLink)); len(done.named("queue")) != 0 {
		t.Error("there is a queue span where the handler begins a trace of its own")
	}
}

func TestAnEmptyReceiveIsToldOnlyOnDemand(t *testing.T) {
	t.Parallel()
	look := func(ctx context.Context, t *trip) error {
		ctx, enough := context.WithTimeout(ctx, 5*time.Millisecond)
		defer enough()
		if _, err := t.pulls.ReceiveShip(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("got %w", err)
		}
		return nil
	}
	if spans := mustTravel(t, look, 0, 0).named("receive"); len(spans) != 0 {
		t.Errorf("%d spans without being asked", len(spans))
	}
	done := mustTravel(t, look, 0, 0, asyncotel.WithEmptyReceiveSpans())
	spans := done.named("receive")
	if len(spans) != 1 || spans[0].Status().Code != codes.Unset || !spans[0].EndTime().After(spans[0].StartTime()) {
		t.Errorf("the spans are %v", spans)
	}
	if durations := done.sets("messaging.client.operation.duration"); len(durations) != 1 || strings.Contains(durations[0], "error.type") {
		t.Errorf("the durations are %v", durations)
	}
	if consumed := done.sets("messaging.client.consumed.messages"); len(consumed) != 0 {
		t.Errorf("consumed: %v", consumed)
	}
}

func TestHeadersWithSeveralValuesAndSizesOfABatch(t *testing.T) {
	t.Parallel()
	batch := func(ctx context.Context, t *trip) error {
		return t.orders.ShipBatch(ctx, []*ordersv1.ShipRequest{{OrderId: "1"}, {OrderId: "22"}}, async.WithHeader("via", "a"), async.WithHeader("via", "b"))
	}
	done := mustTravel(t, batch, 0, 2, asyncotel.WithMessageSize(), asyncotel.WithHeaders("Via", "nothing"))
	var onLinks []int64
	for _, link := range done.named("publish")[0].Links() {
		set := attribute.NewSet(link.Attributes...)
		size, _ := set.Value("messaging.message.body.size")
		onLinks = append(onLinks, size.AsInt64())
		if via, _ := set.Value("async.header.via"); !slices.Equal(via.AsStringSlice(), []string{"a", "b"}) {
			t.Errorf("the header of a link is %v", via.AsStringSlice())
		}
		if envelope, _ := set.Value("messaging.message.envelope.size"); envelope.AsInt64() <= size.AsInt64() {
			t.Errorf("the envelope has %d bytes, the body %d", envelope.AsInt64(), size.AsInt64())
		}
	}
	if diff := cmp.Diff([]int64{3, 4}, onLinks); diff != "" {
		t.Errorf("bytes on the links (-want +got):\n%s", diff)
	}
	for _, s := range done.named("process") {
		set := attribute.NewSet(s.Attributes()...)
		if _, there := set.Value("async.header.nothing"); there {
			t.Error("a header that is not there has an attribute")
		}
		if _, there := set.Value("async.header.via"); !there {
			t.Error("the handling does not tell the header")
		}
	}
}

func TestMetricsHaveWhatAttributesAreGivenAndKept(t *testing.T) {
	t.Parallel()
	cell := asyncotel.WithAttributes(attribute.String("cell", "eu-1"), attribute.String("messaging.system", "mine"))
	keep := asyncotel.WithAttributeFilter(func(spec *async.Spec, a attribute.KeyValue) bool {
		return spec.Method == "Ship" && (a.Key == "cell" || a.Key == "messaging.system")
	})
	done := mustTravel(t, ship, 0, 1, cell, keep)
	for _, metric := range []string{"messaging.process.duration", "async.message.total.duration", "messaging.client.sent.messages"} {
		if diff := cmp.Diff([]string{"1 of cell=eu-1,messaging.system=in_memory"}, done.sets(metric)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", metric, diff)
		}
	}
	for _, s := range done.spans {
		for _, a := range s.Attributes() {
			if a.Key != "cell" && a.Key != "messaging.system" {
				t.Errorf("span %q has %s", s.Name(), a.Key)
			}
		}
		for _, l := range s.Links() {
			if len(l.Attributes) != 0 {
				t.Errorf("a link of span %q has %v", s.Name(), l.Attributes)
			}
		}
	}
}

func TestOfWhatIsFilteredOutTheContextIsPassedOn(t *testing.T) {
	t.Parallel()
	quiet := asyncotel.WithFilter(func(_ context.Context, spec *async.Spec) bool { return spec.Method != "Ship" })
	pulled := func(ctx context.Context, t *trip) error {
		if err := ship(ctx, t); err != nil {
			return err
		}
		d, err := t.pulls.ReceiveShip(ctx)
		if err != nil {
			return err
		}
		return d.Process(context.Background(), func(ctx context.Context, _ *ordersv1.ShipRequest) error {
			return ordersv1async.NewOrderEventsPublisher(t.rt).Placed(ctx, &ordersv1.OrderPlaced{OrderId: "A-1"})
		})
	}
	done := mustTravel(t, pulled, 0, 0, quiet)
	want := `internal order
  producer publish acme.orders.v1.OrderEvents.Placed
`
	if diff := cmp.Diff(want, done.tree()); diff != "" {
		t.Errorf("the spans (-want +got):\n%s", diff)
	}
	if handled := done.sets("messaging.process.duration"); len(handled) != 0 {
		t.Errorf("handled: %v", handled)
	}
}

func TestATemplateStandsForTheDestinationInMetrics(t *testing.T) {
	t.Parallel()
	template := asyncotel.WithDestinationTemplate(func(spec *async.Spec, destination string) string {
		if destination == "" {
			return "nothing"
		}
		return "{tenant}." + spec.Method
	})
	done := mustTravel(t, ship, 0, 1, template)
	want := []string{"1 of async.message.type=acme.orders.v1.ShipRequest,messaging.consumer.group.name=orders,messaging.destination.template={tenant}.Ship,messaging.operation.name=process,messaging.system=in_memory"}
	if diff := cmp.Diff(want, done.sets("messaging.process.duration")); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}
