package asyncotel_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// shipping is an rpc whose retries come at once.
func shipping(ordering async.Ordering) *async.Spec {
	return &async.Spec{
		Service: "acme.Orders", Method: "Ship", Kind: async.KindCommand, Topic: "acme.Orders.Ship", Group: "orders", Type: "acme.orders.v1.ShipRequest",
		Policy: async.Policy{Ordering: ordering, Retry: async.Retry{MaxAttempts: new(uint32(5)), MinBackoff: new(time.Millisecond), MaxBackoff: new(time.Millisecond)}},
		Key:    func(proto.Message) string { return "A" },
		Input:  func() proto.Message { return new(ordersv1.ShipRequest) },
	}
}

// measured is a runtime on t, and what reads its counters.
func measured(t *testing.T, over transport.Transport) (rt *async.Runtime, count func(metric string) int64) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	telemetry := asyncotel.New(asyncotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	rt, err := async.Open(t.Context(), async.WithTransport(over), async.WithTelemetry(telemetry), async.WithConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return rt, func(metric string) (n int64) {
		var metrics metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &metrics); err != nil {
			t.Fatal(err)
		}
		for _, scope := range metrics.ScopeMetrics {
			for _, m := range scope.Metrics {
				if data, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == metric {
					for _, p := range data.DataPoints {
						n += p.Value
					}
				}
			}
		}
		return n
	}
}

// running runs rt until the function that it returns is called.
func running(t *testing.T, rt *async.Runtime) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- rt.Run(ctx) }()
	select {
	case <-rt.Ready():
	case err := <-ran:
		t.Fatalf("Run returned: %v", err)
	}
	return func() {
		cancel()
		if err := errors.Join(<-ran, rt.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// shared is one subscriber of a pair that others use too: what it subscribed to ends with it, and the pair does not.
type shared struct {
	message.Subscriber

	ctx    context.Context //nolint:containedctx // it ends with the subscriber
	cancel context.CancelFunc
}

func (s *shared) Subscribe(_ context.Context, topic string) (<-chan *message.Message, error) {
	return s.Subscriber.Subscribe(s.ctx, topic)
}

func (s *shared) Close() error {
	s.cancel()
	return nil
}

func TestAttemptsThatTheRuntimeHoldsBackAreRetries(t *testing.T) {
	t.Parallel()
	t.Run("of a pair of which nothing is known", func(t *testing.T) {
		t.Parallel()
		pubsub := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 10}, watermill.NopLogger{})
		rt, count := measured(t, transport.Wrap(pubsub, func(transport.Subscription) (message.Subscriber, error) {
			ctx, cancel := context.WithCancel(context.Background())
			return &shared{pubsub, ctx, cancel}, nil
		}))
		spec, calls, done := shipping(async.OrderingUnordered), 0, make(chan struct{})
		if err := async.Handle(rt, spec, func(context.Context, *ordersv1.ShipRequest) error {
			if calls++; calls < 3 {
				return errors.New("the ferry is late")
			}
			close(done)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		stop := running(t, rt)
		if err := async.NewPublisher[*ordersv1.ShipRequest](rt, spec).Send(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}); err != nil {
			t.Fatal(err)
		}
		<-done
		stop()
		if n := count("async.process.retries"); n != 2 {
			t.Errorf("%d retries, want 2", n)
		}
	})
	t.Run("of a message that is pulled in the order of its key", func(t *testing.T) {
		t.Parallel()
		rt, count := measured(t, memorytransport.New())
		spec := shipping(async.OrderingByKey)
		sub := async.NewSubscriber[*ordersv1.ShipRequest](rt, spec)
		if err := async.NewPublisher[*ordersv1.ShipRequest](rt, spec).Send(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}); err != nil {
			t.Fatal(err)
		}
		for _, verdict := range []error{errors.New("the ferry is late"), errors.New("there is fog"), nil} {
			d, err := sub.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Settle(t.Context(), verdict); err != nil {
				t.Fatal(err)
			}
		}
		if err := rt.Close(); err != nil {
			t.Fatal(err)
		}
		if n := count("async.process.retries"); n != 2 {
			t.Errorf("%d retries, want 2", n)
		}
	})
}

// full is a broker whose queues of dead letters take nothing; it tells of each dead letter that is put aside.
type full struct {
	*memorytransport.Transport

	aside chan struct{}
}

func (f *full) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	switch {
	case p.Direct:
		return fmt.Errorf("the queue %s is full: %w", p.Topic, transport.ErrNacked)
	case msg.Metadata[transport.MetaDeadPending] != "":
		f.aside <- struct{}{}
	}
	return f.Transport.Send(ctx, p, msg, done)
}

func TestADeadLetterThatIsPutAsideIsNoRetry(t *testing.T) {
	t.Parallel()
	const messages = 20
	broker := &full{memorytransport.New(), make(chan struct{}, messages)}
	rt, count := measured(t, broker)
	spec := shipping(async.OrderingUnordered)
	if err := async.Handle(rt, spec, func(context.Context, *ordersv1.ShipRequest) error {
		return async.Reject(errors.New("nobody goes there"))
	}); err != nil {
		t.Fatal(err)
	}
	stop := running(t, rt)
	for range messages {
		if err := async.NewPublisher[*ordersv1.ShipRequest](rt, spec).Send(t.Context(), &ordersv1.ShipRequest{OrderId: "A-1"}); err != nil {
			t.Fatal(err)
		}
	}
	<-broker.aside
	stop()
	if n := count("async.process.retries"); n != 0 {
		t.Errorf("%d retries, want none", n)
	}
	if n := count("async.message.dead_letter_failures"); n == 0 {
		t.Error("no dead letter was refused")
	}
}
