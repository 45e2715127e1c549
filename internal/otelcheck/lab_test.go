package otelcheck_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/otelcheck"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
	_ "github.com/asyncpb/async/runtime/transport/gochanneltransport"
)

// allocations is what telemetry without an SDK adds to a message. Nothing else may run while it is counted.
var allocations float64

func TestMain(m *testing.M) {
	allocations = added()
	goleak.VerifyTestMain(m)
}

// patience is how long a scenario waits for what must come.
const patience = 30 * time.Second

// lab is one runtime on one transport, under observation.
type lab struct {
	t         *testing.T
	recorder  *otelcheck.Recorder
	tap       *otelcheck.Tap
	rt        *async.Runtime
	namespace string
	queues    []string

	mu      sync.Mutex
	facts   otelcheck.Facts
	handled chan struct{}
}

// setup is what a scenario has different.
type setup struct {
	sampler   sdktrace.Sampler
	telemetry []asyncotel.Option
	options   []async.Option
	bare      bool // no SDK
	tap       func(*otelcheck.Tap)
}

func openTransport(t *testing.T, name string) transport.Transport {
	t.Helper()
	url := name + "://"
	if name == "amqp" {
		url = "amqp://guest:guest@127.0.0.1:5672/"
		if set := os.Getenv("ASYNC_TEST_AMQP_URL"); set != "" {
			url = set
		}
	}
	c, err := transport.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := transport.Default.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open the broker (make test starts one): %v", err)
	}
	return opened
}

func newLab(t *testing.T, name string, s setup) *lab {
	t.Helper()
	l := &lab{
		t: t, recorder: otelcheck.NewRecorder(s.sampler), namespace: "otel" + strings.ReplaceAll(uuid.NewString(), "-", "")[:10],
		handled: make(chan struct{}, 20000),
	}
	l.facts.Returned = map[string]time.Time{}
	l.tap = otelcheck.NewTap(openTransport(t, name))
	if s.tap != nil {
		s.tap(l.tap)
	}
	options := []asyncotel.Option{
		asyncotel.WithTracerProvider(l.recorder.Tracers), asyncotel.WithMeterProvider(l.recorder.Meters),
		asyncotel.WithLoggerProvider(l.recorder.Loggers), asyncotel.WithPropagator(l.recorder.Propagator),
	}
	if s.bare {
		options = nil
	}
	telemetry := asyncotel.New(append(options, s.telemetry...)...)
	rt, err := async.Open(t.Context(), append([]async.Option{
		async.WithTransport(l.tap), async.WithNamespace(l.namespace), async.WithApp("shop"), async.WithTelemetry(telemetry),
		async.WithDrainTimeout(5 * time.Second),
	}, s.options...)...)
	if err != nil {
		t.Fatal(err)
	}
	l.rt = rt
	return l
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// spec is an rpc of the scenarios: its retries come soon.
func spec(kind async.Kind, method string) *async.Spec {
	s := &async.Spec{
		Service: "acme.otel.v1.Orders", Method: method, Kind: kind, Topic: "acme.otel.v1.Orders." + method, Group: "orders", Type: "acme.orders.v1.ShipRequest",
		Timeout: 5 * time.Second,
		Policy:  async.Policy{Retry: async.Retry{MaxAttempts: new(uint32(3)), MinBackoff: new(10 * time.Millisecond), MaxBackoff: new(10 * time.Millisecond)}},
		Input:   func() proto.Message { return new(ordersv1.ShipRequest) },
		Output:  func() proto.Message { return new(ordersv1.QuoteResponse) },
	}
	if kind == async.KindEvent {
		s.Group = ""
	}
	return s
}

// uses has the queues of an rpc removed in the end.
func (l *lab) uses(s *async.Spec) *async.Spec {
	group := s.Group
	if group == "" {
		group = "shop"
	}
	topic := l.namespace + "." + s.Topic
	l.queues = append(l.queues, transport.QueueName(topic, group), transport.DeadName(topic, group))
	return s
}

// saw notes what a handler sees.
func (l *lab) saw(ctx context.Context) {
	info, _ := async.InfoFrom(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	h := otelcheck.Handler{Span: trace.SpanContextFromContext(ctx), Baggage: baggage.FromContext(ctx).String()}
	if info != nil {
		h.MessageID = info.ID
	}
	l.facts.Handlers = append(l.facts.Handlers, h)
}

// on handles an rpc with f, which is told how often it was called before; nil does nothing.
func (l *lab) on(s *async.Spec, f func(ctx context.Context, calls int) error, opts ...async.SubscribeOption) {
	l.t.Helper()
	calls := 0
	l.must(async.Handle(l.rt, s, func(ctx context.Context, _ *ordersv1.ShipRequest) error {
		l.saw(ctx)
		l.mu.Lock()
		n := calls
		calls++
		l.mu.Unlock()
		defer func() { l.handled <- struct{}{} }()
		if f == nil {
			return nil
		}
		return f(ctx, n)
	}, opts...))
}

// run runs the runtime until the end.
func (l *lab) run(ctx context.Context) (stop func()) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- l.rt.Run(ctx) }()
	select {
	case <-l.rt.Ready():
	case err := <-ran:
		cancel()
		l.t.Fatalf("Run returned: %v", err)
	}
	return func() {
		cancel()
		l.must(<-ran)
	}
}

// await waits for n calls of handlers.
func (l *lab) await(n int) {
	l.t.Helper()
	deadline := time.After(patience)
	for range n {
		select {
		case <-l.handled:
		case <-deadline:
			l.t.Fatal("a handler was not called")
		}
	}
}

// until waits for a condition.
func (l *lab) until(f func() bool) {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			l.t.Fatal("it did not happen")
		}
	}
}

// capture closes the runtime and returns what is left.
func (l *lab) capture(scenario string) *otelcheck.Capture {
	l.t.Helper()
	l.sweep()
	if err := l.rt.Close(); err != nil && scenario != "abandoned" {
		l.t.Fatal(err)
	}
	c := &otelcheck.Capture{Scenario: scenario, Facts: l.facts}
	l.tap.Fill(c)
	l.must(l.recorder.Fill(context.Background(), c))
	return c
}

// quiet waits until every delivery is settled.
func (l *lab) quiet() {
	l.t.Helper()
	l.until(func() bool {
		var c otelcheck.Capture
		l.tap.Fill(&c)
		n := 0
		for _, w := range c.Received {
			if w.Metadata[transport.MetaStatus] == "" {
				n++
			}
		}
		return c.Settled == n
	})
}

// received is how many messages the transport has handed out.
func (l *lab) received() int {
	var c otelcheck.Capture
	l.tap.Fill(&c)
	return len(c.Received)
}

// sweep removes the queues of the scenario.
func (l *lab) sweep() {
	remover, ok := l.tap.Transport.(transport.Remover)
	if !ok {
		return
	}
	for _, queue := range l.queues {
		if _, err := remover.Remove(context.Background(), queue, true); err != nil && !errors.Is(err, transport.ErrUnroutable) {
			l.t.Errorf("remove %s: %v", queue, err)
		}
	}
}

// caller is a context in a span of a program that sends.
func (l *lab) caller() (context.Context, func()) {
	state, err := trace.ParseTraceState("vendor=x")
	l.must(err)
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true})
	member, err := baggage.NewMember("customer", "7")
	l.must(err)
	bag, err := baggage.New(member)
	l.must(err)
	ctx, span := l.recorder.Tracers.Tracer("program").Start(trace.ContextWithRemoteSpanContext(baggage.ContextWithBaggage(context.Background(), bag), sc), "program")
	l.facts.Caller = span.SpanContext()
	return ctx, func() { span.End() }
}

// send sends one message and notes when the call returned.
func (l *lab) send(ctx context.Context, s *async.Spec, id string, opts ...async.PublisherOption) error {
	err := async.NewPublisher[*ordersv1.ShipRequest](l.rt, s, opts...).Send(ctx, &ordersv1.ShipRequest{OrderId: id}, async.WithMessageID(id))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.facts.Returned[id] = time.Now()
	l.facts.Messages++
	return err
}

// inject puts a message on the wire that the runtime did not send.
func (l *lab) inject(s *async.Spec, id string, metadata map[string]string) {
	l.t.Helper()
	payload, err := proto.Marshal(&ordersv1.ShipRequest{OrderId: id})
	l.must(err)
	msg := message.NewMessage(id, payload)
	msg.Metadata = message.Metadata{transport.MetaID: id, transport.MetaType: s.Type, transport.MetaContentType: "application/protobuf"}
	maps.Copy(msg.Metadata, metadata)
	done := make(chan error, 1)
	inner := transport.SenderOf(l.tap.Transport)
	l.must(inner.Send(l.t.Context(), transport.Publication{Topic: l.namespace + "." + s.Topic, RoutingKey: s.Type}, msg, func(err error) { done <- err }))
	l.must(<-done)
}
