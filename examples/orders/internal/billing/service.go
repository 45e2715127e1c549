// Package billing names prices and charges customers.
package billing

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/asyncpb/async/examples/internal/console"
	billingv1 "github.com/asyncpb/async/examples/orders/gen/shop/billing/v1"
	"github.com/asyncpb/async/examples/orders/gen/shop/billing/v1/billingv1async"
	ordersv1 "github.com/asyncpb/async/examples/orders/gen/shop/orders/v1"
	"github.com/asyncpb/async/examples/orders/gen/shop/orders/v1/ordersv1async"
	shippingv1 "github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1"
	"github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1/shippingv1async"
	async "github.com/asyncpb/async/runtime"
)

// App is the name of the application.
const App = "billing"

var prices = map[string]int64{"teapot": 1800, "samovar": 24000}

// Service handles the requests of billing and charges what the orders service tells. It implements
// billingv1async.BillingHandler.
type Service struct {
	billingv1async.UnimplementedBillingHandler

	out      *console.Console
	shipping shippingv1async.ShippingPublisher

	mu      sync.Mutex
	charged map[string]bool // a database with a unique key, in a real service
}

// Register puts the service on rt, which then has to run.
func Register(rt *async.Runtime, out *console.Console) error {
	s := &Service{out: out, shipping: shippingv1async.NewShippingPublisher(rt), charged: make(map[string]bool)}
	// The group says who shares the messages. It is the application's name by default; it is written here since several
	// services may live on one runtime.
	orders := ordersv1async.NewOrderEventsSubscriber(rt, async.WithGroup(App))
	return errors.Join(
		billingv1async.RegisterBillingHandler(rt, s),
		orders.OnPlaced(s.charge),
	)
}

// Quote answers a request. Its error is the reply, with a code and a text that were made for the caller.
func (s *Service) Quote(_ context.Context, req *billingv1.QuoteRequest) (*billingv1.QuoteResponse, error) {
	price, known := prices[req.GetArticle()]
	if !known {
		s.out.Line(console.Yellow, App, "◀", "Quote", "a "+req.GetArticle()+"? we have none")
		return nil, async.NewError(async.CodeNotFound, "there is no article %q", req.GetArticle())
	}
	cents := price * int64(req.GetQuantity())
	s.out.Line(console.Yellow, App, "◀", "Quote", fmt.Sprintf("%d × %s: %s", req.GetQuantity(), req.GetArticle(), Euros(cents)))
	return &billingv1.QuoteResponse{Cents: cents}, nil
}

// charge handles an event. The event is acknowledged when charge has returned, and the command is stored by then: a crash in
// between brings the event again. Hence the check: a customer is charged once for an order, however often it is heard of.
func (s *Service) charge(ctx context.Context, order *ordersv1.OrderPlaced) error {
	if s.chargeOnce(order.GetOrderId()) {
		s.out.Line(console.Yellow, App, "◀", "Placed", order.GetOrderId()+": charged "+Euros(order.GetCents()))
	}
	if err := s.shipping.Ship(ctx, &shippingv1.ShipRequest{
		OrderId:     order.GetOrderId(),
		Destination: order.GetDestination(),
	}); err != nil {
		return err
	}
	s.out.Line(console.Yellow, App, "▶", "Ship", order.GetOrderId()+" to "+order.GetDestination())
	return nil
}

func (s *Service) chargeOnce(orderID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.charged[orderID] {
		return false
	}
	s.charged[orderID] = true
	return true
}

// Euros writes an amount for people.
func Euros(cents int64) string { return fmt.Sprintf("%d.%02d €", cents/100, cents%100) }
