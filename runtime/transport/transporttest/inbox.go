package transporttest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/transport"
)

// inbox collects the deliveries of one consumption.
type inbox struct {
	transport.Consumption
	deliveries chan transport.Delivery
}

// consume starts a consumption that is closed with the test.
func consume(t *testing.T, tr transport.Transport, sub transport.Subscription) *inbox {
	t.Helper()
	in := &inbox{deliveries: make(chan transport.Delivery, sub.InFlight())}
	c, err := transport.ConsumerOf(tr).Consume(t.Context(), sub, func(d transport.Delivery) {
		select {
		case in.deliveries <- d:
		default:
			t.Errorf("more than %d deliveries of %q are out at once", sub.InFlight(), sub.Queue())
		}
	})
	if err != nil {
		t.Fatalf("consume %q: %v", sub.Queue(), err)
	}
	in.Consumption = c
	t.Cleanup(func() { in.close(t) })
	return in
}

// tryConsume returns the error of a consumption that is expected to be refused.
func tryConsume(t *testing.T, tr transport.Transport, sub transport.Subscription) error {
	t.Helper()
	c, err := transport.ConsumerOf(tr).Consume(t.Context(), sub, func(transport.Delivery) {})
	if err == nil {
		_ = c.Close(t.Context())
	}
	return err
}

func (in *inbox) close(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := in.Close(ctx); err != nil && !errors.Is(err, transport.ErrClosed) {
		t.Errorf("close the consumption: %v", err)
	}
}

func (in *inbox) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := in.Stop(ctx); err != nil {
		t.Errorf("stop the consumption: %v", err)
	}
}

// next waits for one delivery.
func (in *inbox) next(t *testing.T) transport.Delivery {
	t.Helper()
	select {
	case d := <-in.deliveries:
		return d
	case <-time.After(patience):
		t.Fatalf("no delivery in %v", patience)
		return nil
	}
}

// ack waits for one delivery and acks it.
func (in *inbox) ack(t *testing.T) transport.Delivery {
	t.Helper()
	d := in.next(t)
	settle(t, d, transport.Ack)
	return d
}

// quiet fails the test if a delivery comes soon.
func (in *inbox) quiet(t *testing.T) {
	t.Helper()
	select {
	case d := <-in.deliveries:
		t.Fatalf("unexpected delivery of %q", d.Message().UUID)
	case <-time.After(hush):
	}
}

// drain acks n deliveries and returns their ids in the order of arrival.
func (in *inbox) drain(t *testing.T, n int) []string {
	t.Helper()
	ids := make([]string, n)
	for i := range n {
		ids[i] = in.ack(t).Message().UUID
	}
	return ids
}

// settle settles and waits for the broker's word.
func settle(t *testing.T, d transport.Delivery, o transport.Outcome) {
	t.Helper()
	if err := settled(t, d, o); err != nil {
		t.Fatalf("settle %q with %v: %v", d.Message().UUID, o, err)
	}
}

func settled(t *testing.T, d transport.Delivery, o transport.Outcome) error {
	t.Helper()
	c := make(chan error, 2)
	d.Settle(o, func(err error) { c <- err })
	select {
	case err := <-c:
		return err
	case <-time.After(patience):
		t.Fatalf("settling %q with %v did not end", d.Message().UUID, o)
		return nil
	}
}

// same compares two sets of ids.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// inOrder compares two lists of ids.
func inOrder(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}
