package amqptransport_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// lent is a transport that outlives the runtimes on it.
type lent struct{ *amqptransport.Transport }

func (lent) Close(context.Context) error { return nil }

// namespaces are names that no other test has. What generated publishers declare under them is removed after the test, if this
// is called before the transport is opened.
func namespaces(t testing.TB, n int) []string {
	t.Helper()
	var names, topics []string
	for range n {
		name := "test-" + strings.ToLower(watermill.NewShortUUID())
		names = append(names, name)
		for _, topic := range []string{ordersv1async.OrdersShipTopic, ordersv1async.OrdersArchiveTopic, ordersv1async.OrderEventsPlacedTopic} {
			topics = append(topics, name+"."+topic)
		}
	}
	discard(t, topics, []string{"orders"})
	return names
}

// runtimeOn opens a runtime on tr that is closed after the test, before tr.
func runtimeOn(t testing.TB, tr *amqptransport.Transport, namespace string) *async.Runtime {
	t.Helper()
	rt, err := async.Open(t.Context(), async.WithTransport(lent{tr}), async.WithApp("app"), async.WithNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Errorf("close the runtime: %v", err)
		}
	})
	return rt
}

func TestACommandDoesNotWaitForTheDeclarationOfAnother(t *testing.T) {
	t.Parallel()
	names := namespaces(t, 1)
	p := newProxy(t)
	tr := openConfig(t, p.config(t))
	orders := ordersv1async.NewOrdersPublisher(runtimeOn(t, tr, names[0]))
	p.silence(true)
	patient := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	go func() { patient <- orders.Ship(ctx, &ordersv1.ShipRequest{}) }()
	// The first one is on its way to the broker, or about to be; the others run into it.
	for range 5 {
		began := time.Now()
		short, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
		err := orders.Archive(short, &ordersv1.ArchiveRequest{})
		stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("with 200 ms it returned after %v", took)
		}
		if !errors.Is(err, transport.ErrBlocked) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, transport.ErrUnknown) {
			t.Errorf("got %v, want that it is blocked: nothing was sent", err)
		}
	}
	if len(patient) > 0 {
		t.Error("the first send has not waited for its context")
	}
	if err := await(t, patient, "the first send"); !errors.Is(err, transport.ErrBlocked) {
		t.Errorf("the first send: %v, want that it is blocked", err)
	}
	p.silence(false)
	if err := orders.Archive(t.Context(), &ordersv1.ArchiveRequest{}); err != nil {
		t.Error(err)
	}
}

func TestASendThatABlockedBrokerNeverGotIsBlocked(t *testing.T) {
	t.Parallel()
	names := namespaces(t, 1)
	p := newProxy(t)
	tr := openConfig(t, p.config(t))
	rt := runtimeOn(t, tr, names[0])
	orders := ordersv1async.NewOrdersPublisher(rt)
	if err := orders.Ship(t.Context(), &ordersv1.ShipRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := rt.Health(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.block()
	eventually(t, "the runtime's health says that the broker is blocked", func() bool {
		return errors.Is(rt.Health(t.Context()).Err(), async.ErrBlocked)
	})
	sends := map[string]func(context.Context) error{
		"one": func(ctx context.Context) error { return orders.Ship(ctx, &ordersv1.ShipRequest{}) },
		"a batch": func(ctx context.Context) error {
			return orders.ShipBatch(ctx, slices.Repeat([]*ordersv1.ShipRequest{{}}, 10))
		},
	}
	for what, send := range sends {
		for range 10 {
			for _, end := range ends {
				ctx, cancel := end.limit()
				err := send(ctx)
				cancel()
				if !errors.Is(err, async.ErrBlocked) || !errors.Is(err, end.cause) || errors.Is(err, async.ErrUnknown) {
					t.Errorf("%s, ended by %s: %v, want that it is blocked: it was never written", what, end.name, err)
				}
			}
		}
	}
	p.unblock()
	if err := orders.Ship(t.Context(), &ordersv1.ShipRequest{}); err != nil {
		t.Error(err)
	}
	eventually(t, "the runtime is well again", func() bool { return rt.Health(t.Context()).Err() == nil })
}
