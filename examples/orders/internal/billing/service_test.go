package billing_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/asyncpb/async/examples/internal/console"
	billingv1 "github.com/asyncpb/async/examples/orders/gen/shop/billing/v1"
	"github.com/asyncpb/async/examples/orders/gen/shop/billing/v1/billingv1async"
	ordersv1 "github.com/asyncpb/async/examples/orders/gen/shop/orders/v1"
	"github.com/asyncpb/async/examples/orders/gen/shop/orders/v1/ordersv1async"
	shippingv1 "github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1"
	"github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1/shippingv1async"
	"github.com/asyncpb/async/examples/orders/internal/billing"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asynctest"
)

// start registers billing on a runtime of its own and starts it.
func start(t *testing.T, out *strings.Builder) *asynctest.Runtime {
	t.Helper()
	rt := asynctest.New(t)
	if err := billing.Register(rt.Runtime, console.New(out)); err != nil {
		t.Fatal(err)
	}
	rt.Start()
	return rt
}

func place(t *testing.T, rt *asynctest.Runtime) {
	t.Helper()
	err := ordersv1async.NewOrderEventsPublisher(rt.Runtime).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "A-1", Destination: "Lisbon", Cents: 1800})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPlacedOrderIsShipped(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	rt := start(t, &out)
	place(t, rt)
	rt.WaitIdle(time.Minute)
	want := []*shippingv1.ShipRequest{{OrderId: "A-1", Destination: "Lisbon"}}
	if diff := cmp.Diff(want, asynctest.Published[*shippingv1.ShipRequest](rt), protocmp.Transform()); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestACustomerIsChargedOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]func(rt *asynctest.Runtime){
		"though the event comes twice": (*asynctest.Runtime).DeliverTwice,
		"though the command cannot be sent at first": func(rt *asynctest.Runtime) {
			rt.FailNextSends(shippingv1async.ShippingName+"/Ship", 1, nil)
		},
	}
	for name, goWrong := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // the second attempt comes after a pause, which takes no time in here
				var out strings.Builder
				rt := start(t, &out)
				goWrong(rt)
				place(t, rt)
				rt.WaitIdle(time.Hour)
				if n := len(rt.Attempts()); n != 2 {
					t.Errorf("the event was handled %d times, want 2", n)
				}
				if n := strings.Count(out.String(), "charged"); n != 1 {
					t.Errorf("charged %d times:\n%s", n, out.String())
				}
			})
		})
	}
}

func TestAnUnknownArticleIsNotFound(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	rt := start(t, &out)
	client := billingv1async.NewBillingClient(rt.Runtime)
	if _, err := client.Quote(t.Context(), &billingv1.QuoteRequest{Article: "unicorn", Quantity: 1}); async.CodeOf(err) != async.CodeNotFound {
		t.Errorf("got %v, want NotFound", err)
	}
}
