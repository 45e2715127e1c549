package shipping_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/asyncpb/async/examples/internal/console"
	shippingv1 "github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1"
	"github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1/shippingv1async"
	"github.com/asyncpb/async/examples/orders/internal/shipping"
	"github.com/asyncpb/async/runtime/asynctest"
)

func TestEachParcelComesToItsEnd(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		destination string
		attempts    int
		shipped     []*shippingv1.OrderShipped
		dead        []*shippingv1.ShipRequest
	}{
		"a parcel is shipped": {
			destination: "Lisbon", attempts: 1,
			shipped: []*shippingv1.OrderShipped{{OrderId: "A-1", Destination: "Lisbon"}},
		},
		"the ferry is late, and the second attempt ships": {
			destination: "Reykjavík", attempts: 2,
			shipped: []*shippingv1.OrderShipped{{OrderId: "A-1", Destination: "Reykjavík"}},
		},
		"nobody goes there, and the command is a dead letter at once": {
			destination: "Atlantis", attempts: 1,
			dead: []*shippingv1.ShipRequest{{OrderId: "A-1", Destination: "Atlantis"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rt := asynctest.New(t)
				if _, err := shipping.Register(rt.Runtime, console.New(io.Discard)); err != nil {
					t.Fatal(err)
				}
				rt.Start()
				order := &shippingv1.ShipRequest{OrderId: "A-1", Destination: test.destination}
				if err := shippingv1async.NewShippingPublisher(rt.Runtime).Ship(t.Context(), order); err != nil {
					t.Fatal(err)
				}
				rt.WaitIdle(time.Hour)
				if n := len(rt.Attempts()); n != test.attempts {
					t.Errorf("%d attempts, want %d", n, test.attempts)
				}
				if diff := cmp.Diff(test.shipped, asynctest.Published[*shippingv1.OrderShipped](rt), protocmp.Transform()); diff != "" {
					t.Errorf("shipped (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.dead, asynctest.DeadLetters[*shippingv1.ShipRequest](rt), protocmp.Transform()); diff != "" {
					t.Errorf("dead letters (-want +got):\n%s", diff)
				}
			})
		})
	}
}
