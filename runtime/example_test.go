package async_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// open opens a runtime in memory for an example.
func open(opts ...async.Option) *async.Runtime {
	rt, err := async.Open(context.Background(), append([]async.Option{async.WithURL("memory://"), async.WithApp("shop")}, opts...)...)
	check(err)
	return rt
}

// start runs a runtime and returns when it receives; end drains and closes it.
func start(rt *async.Runtime) (end func()) {
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(context.Background()) }()
	select {
	case <-rt.Ready():
	case err := <-ended:
		check(err)
	}
	return func() { check(errors.Join(rt.Close(), <-ended)) }
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Register handlers, run, send, close.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	rt, err := async.Open(ctx, async.WithURL("memory://"), async.WithApp("mailer"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close()

	err = ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(_ context.Context, order *ordersv1.OrderPlaced) error {
		fmt.Println("a mail about order", order.GetOrderId())
		cancel()
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		<-rt.Ready() // an event goes to the groups that have subscribed
		orders := ordersv1async.NewOrderEventsPublisher(rt)
		if err := orders.Placed(ctx, &ordersv1.OrderPlaced{OrderId: "A-1"}); err != nil {
			fmt.Println(err)
		}
	}()
	fmt.Println(rt.Run(ctx)) // until ctx ends; then it drains
	// Output:
	// a mail about order A-1
	// <nil>
}

func ExampleOpen() {
	ctx := context.Background()
	rt, err := async.Open(ctx, async.WithURL("memory://"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close()
	fmt.Println(rt.Health(ctx).Transports[0].System)

	_, err = async.Open(ctx, async.WithURL("memory://?capacity=many"))
	fmt.Println(err)
	// Output:
	// in_memory
	// async: open: transport memory://: memory transport: the option capacity is "many"; write how many messages a queue takes, at least 1
}

// All that is wrong with a file is reported together.
func ExampleWithConfigFile() {
	directory, err := os.MkdirTemp("", "example")
	check(err)
	defer os.RemoveAll(directory)
	file := filepath.Join(directory, "async.yaml")
	check(os.WriteFile(file, []byte(`
version: 1
app: billing
transport: memory://
bindings:
  acme.orders.v1.Orders: {concurrency: 4}
  acme.orders.v1.Orders/Ship: {max_message_bytes: 10B}
`), 0o600))

	ctx := context.Background()
	rt, err := async.Open(ctx, async.WithConfigFile(file))
	check(err)
	defer rt.Close()
	err = ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "much too long"})
	fmt.Println(err)
	// Output:
	// async: send acme.orders.v1.Orders/Ship: too large: the message has 15 bytes, max_message_bytes is 10
}

func ExampleRuntime_Run() {
	rt := open()
	defer rt.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-rt.Ready()
		fmt.Println("ready")
		cancel()
	}()
	fmt.Println(rt.Run(ctx))
	fmt.Println(rt.Run(ctx))
	// Output:
	// ready
	// <nil>
	// async: run: the runtime is running already
}

func ExampleRuntime_Close() {
	rt := open()
	orders := ordersv1async.NewOrdersPublisher(rt)
	fmt.Println(rt.Close())
	fmt.Println(orders.Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	// Output:
	// <nil>
	// async: send acme.orders.v1.Orders/Ship: closed
}

// Messages wait in their queue while a binding is paused.
func ExampleRuntime_Pause() {
	rt := open()
	shipped := make(chan string)
	check(ordersv1async.NewOrdersSubscriber(rt).OnShip(func(_ context.Context, req *ordersv1.ShipRequest) error {
		shipped <- req.GetOrderId()
		return nil
	}))
	defer start(rt)()
	ctx := context.Background()

	check(rt.Pause("acme.orders.v1.Orders/Ship"))
	check(ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-1"}))
	fmt.Println("consuming:", rt.Health(ctx).Bindings[0].Consuming)

	check(rt.Resume("acme.orders.v1.Orders/Ship"))
	fmt.Println("shipped", <-shipped)
	// Output:
	// consuming: false
	// shipped A-1
}

// The stub of a handler that nobody has written yet eats nothing: its binding is paused, and Health says so.
func ExampleRuntime_Health() {
	rt := open()
	check(ordersv1async.RegisterOrdersHandler(rt, ordersv1async.UnimplementedOrdersHandler{}))
	fmt.Println("before:", rt.Health(context.Background()).Err())
	defer start(rt)()
	check(ordersv1async.NewOrdersPublisher(rt).Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}))
	waitFor(func() bool { return rt.Health(context.Background()).Err() != nil })
	fmt.Println("after:", rt.Health(context.Background()).Err())
	// Output:
	// before: <nil>
	// after: binding acme.orders.v1.Orders/Ship is paused: the handler is not implemented
}

func ExampleRuntime_Stats() {
	rt := open()
	defer rt.Close()
	// Nobody has subscribed: that is no error, and counted.
	check(ordersv1async.NewOrderEventsPublisher(rt).Placed(context.Background(), &ordersv1.OrderPlaced{OrderId: "A-1"}))
	fmt.Println("unrouted:", rt.Stats().Unrouted)
	// Output:
	// unrouted: 1
}

// An interceptor sees every message with the spec of its rpc, on both sides.
func ExampleInterceptor() {
	greet := async.Interceptor{
		Send: func(next async.SendFunc) async.SendFunc {
			return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
				if out.Headers == nil {
					out.Headers = make(async.Headers)
				}
				out.Headers.Add("tenant", "blue")
				return next(ctx, out)
			}
		},
		Handle: func(next async.HandleFunc) async.HandleFunc {
			return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
				fmt.Println(in.Spec.Name(), "for tenant", in.Info.Headers.First("tenant"))
				return next(ctx, in)
			}
		},
	}
	rt := open(async.WithInterceptors(greet))
	check(ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		return &ordersv1.QuoteResponse{Cents: 1800}, nil
	}))
	defer start(rt)()
	quote, err := ordersv1async.NewOrdersClient(rt).Quote(context.Background(), &ordersv1.QuoteRequest{Sku: "teapot"})
	fmt.Println(quote.GetCents(), err)
	// Output:
	// acme.orders.v1.Orders/Quote for tenant blue
	// 1800 <nil>
}

// positive is a validator with the method of protovalidate's: it refuses orders that cost nothing.
type positive struct{}

func (positive) Validate(msg proto.Message, _ ...struct{}) error {
	if order, ok := msg.(*ordersv1.OrderPlaced); ok && order.GetCents() <= 0 {
		return errors.New("cents: must be positive")
	}
	return nil
}

func ExampleWithValidator() {
	rt := open(async.WithValidator(positive{}))
	defer rt.Close()
	err := ordersv1async.NewOrderEventsPublisher(rt).Placed(context.Background(), &ordersv1.OrderPlaced{OrderId: "A-1"})
	fmt.Println(errors.Is(err, async.ErrInvalid))
	fmt.Println(err)
	// Output:
	// true
	// async: send acme.orders.v1.OrderEvents/Placed: invalid message: cents: must be positive
}
