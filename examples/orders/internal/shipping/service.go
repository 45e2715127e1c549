// Package shipping sends parcels.
package shipping

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/asyncpb/async/examples/internal/console"
	shippingv1 "github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1"
	"github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1/shippingv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// App is the name of the application.
const App = "shipping"

// Service handles the commands of shipping. It implements shippingv1async.ShippingHandler.
type Service struct {
	shippingv1async.UnimplementedShippingHandler

	out    *console.Console
	events shippingv1async.ShippingEventsPublisher

	mu        sync.Mutex
	deadQueue string
}

// Register puts the service on rt, which then has to run.
func Register(rt *async.Runtime, out *console.Console) (*Service, error) {
	s := &Service{out: out, events: shippingv1async.NewShippingEventsPublisher(rt)}
	return s, shippingv1async.RegisterShippingHandler(rt, s)
}

// Ship handles a command. What it returns is its verdict: a plain error has the command tried again later, Reject makes it a
// dead letter at once, since trying again would not help.
func (s *Service) Ship(ctx context.Context, req *shippingv1.ShipRequest) error {
	info, _ := async.InfoFrom(ctx)
	switch {
	case req.GetDestination() == "Atlantis":
		s.remember(info)
		s.out.Line(console.Red, App, "✗", "Ship", req.GetOrderId()+": rejected, nobody goes to "+req.GetDestination())
		return async.Reject(fmt.Errorf("nobody goes to %s", req.GetDestination()))
	case req.GetDestination() == "Reykjavík" && info.Attempt == 1:
		s.out.Line(console.Purple, App, "↻", "Ship", req.GetOrderId()+": the ferry is late, trying again")
		return errors.New("the ferry is late")
	}
	s.out.Line(console.Purple, App, "◀", "Ship", fmt.Sprintf("%s: on its way to %s, attempt %d", req.GetOrderId(), req.GetDestination(), info.Attempt))
	return s.events.Shipped(ctx, &shippingv1.OrderShipped{OrderId: req.GetOrderId(), Destination: req.GetDestination()})
}

// remember keeps the name of the queue of dead letters that belongs to the handled message.
func (s *Service) remember(info *async.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadQueue = transport.DeadName(info.Topic, info.Group)
}

// DeadQueue names the queue of this service's dead letters, or nothing if there was none.
func (s *Service) DeadQueue() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deadQueue
}
