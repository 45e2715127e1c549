// Package ordering takes orders and hears what becomes of them.
package ordering

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel"

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
const App = "orders"

// Order is what a customer wants.
type Order struct {
	ID, Article string
	Quantity    int32
	Destination string
}

// Sample is one order for each thing that can happen: it is shipped, it is shipped at the second attempt, it cannot be
// shipped, it cannot be had.
var Sample = []Order{
	{ID: "A-1", Article: "teapot", Quantity: 2, Destination: "Lisbon"},
	{ID: "A-2", Article: "samovar", Quantity: 1, Destination: "Reykjavík"},
	{ID: "A-3", Article: "teapot", Quantity: 1, Destination: "Atlantis"},
	{ID: "A-4", Article: "unicorn", Quantity: 1, Destination: "Oslo"},
}

// Shippable is how many orders of the sample are shipped in the end.
const Shippable = 2

// Service places orders.
type Service struct {
	out     *console.Console
	billing billingv1async.BillingClient
	events  ordersv1async.OrderEventsPublisher

	mu      sync.Mutex
	shipped map[string]bool
}

// Register puts the service on rt, which then has to run.
func Register(rt *async.Runtime, out *console.Console) (*Service, error) {
	s := &Service{
		out:     out,
		shipped: make(map[string]bool),
		billing: billingv1async.NewBillingClient(rt),
		events:  ordersv1async.NewOrderEventsPublisher(rt),
	}
	shipping := shippingv1async.NewShippingEventsSubscriber(rt, async.WithGroup(App))
	return s, shipping.OnShipped(s.ship)
}

// ship handles an event. Hearing of a parcel twice changes nothing.
func (s *Service) ship(_ context.Context, parcel *shippingv1.OrderShipped) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shipped[parcel.GetOrderId()] = true
	s.out.Line(console.Green, App, "◀", "Shipped", parcel.GetOrderId()+" to "+parcel.GetDestination())
	return nil
}

// Shipped counts the orders that are on their way.
func (s *Service) Shipped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.shipped)
}

// tracer makes the spans of what the service does itself; those of the messages are inside of them.
var tracer = otel.Tracer("shop/ordering")

// PlaceAll places orders as soon as billing answers. An article that cannot be had is no error.
func (s *Service) PlaceAll(ctx context.Context, orders []Order) error {
	for _, order := range orders {
		if err := s.place(ctx, order); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) place(ctx context.Context, order Order) error {
	ctx, span := tracer.Start(ctx, "order "+order.ID)
	defer span.End()
	quote, err := s.quote(ctx, order)
	if async.CodeOf(err) == async.CodeNotFound {
		var refusal *async.Error
		errors.As(err, &refusal)
		s.out.Line(console.Red, App, "✗", "Quote", order.ID+": "+refusal.Message)
		return nil
	}
	if err != nil {
		return err
	}
	// The event is stored when Placed returns: the customer can be told.
	if err := s.events.Placed(ctx, &ordersv1.OrderPlaced{
		OrderId: order.ID, Article: order.Article, Quantity: order.Quantity, Destination: order.Destination, Cents: quote.GetCents(),
	}); err != nil {
		return err
	}
	s.out.Line(console.Green, App, "▶", "Placed", fmt.Sprintf("%s: %d × %s to %s", order.ID, order.Quantity, order.Article, order.Destination))
	return nil
}

// quote waits for billing to be there. That does more than fetch a price: an event goes only to groups that have
// subscribed, and once billing answers it has subscribed to Placed as well, since Run declares every queue before it consumes
// the first.
func (s *Service) quote(ctx context.Context, order Order) (*billingv1.QuoteResponse, error) {
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		quote, err := s.billing.Quote(ctx, &billingv1.QuoteRequest{Article: order.Article, Quantity: order.Quantity})
		absent := errors.Is(err, async.ErrUnroutable) || async.CodeOf(err) == async.CodeDeadlineExceeded
		if !absent || ctx.Err() != nil {
			return quote, err
		}
		s.out.Line(console.Green, App, "…", "Quote", "waiting for billing")
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
