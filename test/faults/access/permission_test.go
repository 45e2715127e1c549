package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// The rights of docs/security.md, for the contract of internal/proto/acme/orders/v1.
var (
	publisherRights = rights{write: `prod\.acme\.orders\.v1\.(OrderEvents\.Placed|Orders\.Ship)|async\.delay\.[0-9]+`}
	consumerRights  = rights{
		write: `amq\.default|async\.delay\.[0-9]+`,
		read:  `prod\.acme\.orders\.v1\.(OrderEvents\.Placed--billing|Orders\.Ship--orders)`,
	}
	requesterRights = rights{
		configure: `prod\.async\.reply\..*`,
		write:     `prod\.acme\.orders\.v1\.Orders\.Quote`,
		read:      `prod\.async\.reply\..*`,
	}
	responderRights = rights{write: `amq\.default`, read: `prod\.acme\.orders\.v1\.Orders\.Quote--orders`}
	listenerRights  = rights{
		configure: `prod\.acme\.orders\.v1\.OrderEvents\.Placed--broadcast\..*`,
		write:     `prod\.acme\.orders\.v1\.OrderEvents\.Placed--broadcast\..*|amq\.default|async\.delay\.[0-9]+`,
		read:      `prod\.acme\.orders\.v1\.OrderEvents\.Placed(--broadcast\..*)?|async\.delay\.deliver`,
	}
)

const password = "c4n4ry-0f-4ccess"

// deploy declares everything that the contract needs, as a deployment does, with a user who may.
func deploy(t *testing.T) (vhost string) {
	t.Helper()
	vhost = newVhost(t)
	newUser(t, vhost, t.Name()+"-deployer", password, all)
	declareAll(t, vhost)
	return vhost
}

// declareAll starts and stops a service of the contract as the user of deploy.
func declareAll(t *testing.T, vhost string) {
	t.Helper()
	rt := open(t, configuration(t, vhost, t.Name()+"-deployer", password, "create"))
	subscriber := ordersv1async.NewOrderEventsSubscriber(rt)
	must(t, subscriber.OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error { return nil }))
	must(t, ordersv1async.RegisterOrdersHandler(rt, ordersv1async.UnimplementedOrdersHandler{}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-rt.Ready()
		cancel()
	}()
	must(t, rt.Run(ctx))
	must(t, rt.Close())
}

// as opens a runtime for a user with few rights.
func as(t *testing.T, vhost, role, declare string, r rights, opts ...async.Option) *async.Runtime {
	t.Helper()
	name := t.Name() + "-" + role
	newUser(t, vhost, name, password, r)
	return open(t, configuration(t, vhost, name, password, declare), opts...)
}

func TestFewRightsAreEnough(t *testing.T) {
	for _, declare := range []string{"none", "verify"} {
		t.Run(declare, func(t *testing.T) {
			vhost := deploy(t)
			type arrival struct {
				id      string
				attempt int
			}
			events, commands, heard := make(chan arrival, 16), make(chan arrival, 16), make(chan arrival, 16)
			see := func(c chan arrival, fail error) func(ctx context.Context, id string) error {
				return func(ctx context.Context, id string) error {
					info, _ := async.InfoFrom(ctx)
					c <- arrival{id, info.Attempt}
					if strings.HasPrefix(id, "again") && info.Attempt == 1 {
						return errors.New("once more")
					}
					return fail
				}
			}
			consumer := as(t, vhost, "consumer", declare, consumerRights)
			onEvent, onCommand, onBroadcast := see(events, nil), see(commands, async.Reject(errors.New("no"))), see(heard, nil)
			must(t, ordersv1async.NewOrderEventsSubscriber(consumer).OnPlaced(func(ctx context.Context, m *ordersv1.OrderPlaced) error {
				return onEvent(ctx, m.GetOrderId())
			}))
			must(t, ordersv1async.NewOrdersSubscriber(consumer).OnShip(func(ctx context.Context, m *ordersv1.ShipRequest) error {
				return onCommand(ctx, m.GetOrderId())
			}))
			run(t, consumer)
			listener := as(t, vhost, "listener", declare, listenerRights)
			must(t, ordersv1async.NewOrderEventsSubscriber(listener, async.WithBroadcast()).OnPlaced(func(ctx context.Context, m *ordersv1.OrderPlaced) error {
				return onBroadcast(ctx, m.GetOrderId())
			}))
			run(t, listener)
			responder := as(t, vhost, "responder", declare, responderRights)
			must(t, ordersv1async.NewOrdersSubscriber(responder).OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
				return &ordersv1.QuoteResponse{Cents: 7}, nil
			}))
			run(t, responder)

			publisher := as(t, vhost, "publisher", declare, publisherRights)
			placed, ship := ordersv1async.NewOrderEventsPublisher(publisher), ordersv1async.NewOrdersPublisher(publisher)
			must(t, placed.Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "event"}))
			must(t, placed.Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "again"}, async.WithDelay(time.Second)))
			must(t, ship.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "command"}))
			for _, c := range []chan arrival{events, heard} {
				seen := make(map[arrival]bool)
				for len(seen) < 3 {
					seen[next(t, c, "an event, a late one, and its second attempt")] = true
				}
				for _, want := range []arrival{{"event", 1}, {"again", 1}, {"again", 2}} {
					if !seen[want] {
						t.Errorf("%v did not come", want)
					}
				}
			}
			if got := next(t, commands, "the command"); got.id != "command" {
				t.Errorf("got %v", got)
			}
			requester := as(t, vhost, "requester", declare, requesterRights)
			reply, err := ordersv1async.NewOrdersClient(requester).Quote(t.Context(), &ordersv1.QuoteRequest{Sku: "s"})
			if err != nil || reply.GetCents() != 7 {
				t.Errorf("the reply: %v, %v", reply, err)
			}
			for name, rt := range map[string]*async.Runtime{"publisher": publisher, "consumer": consumer, "listener": listener, "responder": responder, "requester": requester} {
				if err := rt.Health(t.Context()).Err(); err != nil {
					t.Errorf("the %s is not well: %v", name, err)
				}
			}
			awaitDead(t, vhost)
		})
	}
}

// awaitDead waits until the rejected command lies in the queue of dead letters.
func awaitDead(t *testing.T, vhost string) {
	t.Helper()
	const want = "prod.acme.orders.v1.Orders.Ship--orders--dead\t1"
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		out, err := broker.Control(context.Background(), "list_queues", "--vhost", vhost, "--no-table-headers", "name", "messages")
		must(t, err)
		if strings.Contains(out, want) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the dead letter is not there:\n%s", out)
		}
	}
}

// TestMoreThanTheRightsIsRefused asks for what the rights do not hold. Each error says which right is missing.
func TestMoreThanTheRightsIsRefused(t *testing.T) {
	vhost := deploy(t)
	publisher := as(t, vhost, "publisher", "none", publisherRights)
	err := ordersv1async.NewOrdersPublisher(publisher).Archive(t.Context(), &ordersv1.ArchiveRequest{OrderId: "a"})
	refused(t, "a command that is not the publisher's", err, `write to exchange "prod.acme.orders.v1.Orders.Archive"`)
	must(t, ordersv1async.NewOrdersPublisher(publisher).Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "its own still goes"}))
	must(t, ordersv1async.NewOrderEventsSubscriber(publisher).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error { return nil }))
	refused(t, "consuming as the publisher", publisher.Run(t.Context()), "prod.acme.orders.v1.OrderEvents.Placed--billing")

	consumer := as(t, vhost, "consumer", "none", consumerRights)
	err = ordersv1async.NewOrderEventsPublisher(consumer).Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "a"})
	refused(t, "publishing as the consumer", err, `write to exchange "prod.acme.orders.v1.OrderEvents.Placed"`)
	declaring := as(t, vhost, "declaring", "create", consumerRights)
	must(t, ordersv1async.NewOrderEventsSubscriber(declaring, async.WithGroup("new")).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error { return nil }))
	refused(t, "declaring as the consumer", declaring.Run(t.Context()), "declare: none")
}

func refused(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "refuse") {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("%s: the error holds the password: %v", what, err)
	}
}
