// Quickstart sends a request, events and commands through one contract: every way to send with every way to receive. It
// runs in memory; ASYNC_TRANSPORT=gochannel:// or amqp://guest:guest@127.0.0.1:5672/ switches the broker.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/asyncpb/async/examples/internal/console"
	greeterv1 "github.com/asyncpb/async/examples/quickstart/gen/greeter/v1"
	"github.com/asyncpb/async/examples/quickstart/gen/greeter/v1/greeterv1async"
	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
	_ "github.com/asyncpb/async/runtime/transport/gochanneltransport"
)

func main() {
	if err := run(context.Background(), newConsole(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out *console.Console, opts ...async.Option) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rt, err := async.Open(ctx, append(opts, async.WithApp("quickstart"))...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	out.Title("greeter.v1.Greeter on %s", rt.Health(ctx).Transports[0].System)
	out.Header("kind", "send", "", "receive", "", "message")

	// Receive by push: a handler is called when a message arrives. An error would have the message tried again.
	subscriber := greeterv1async.NewGreeterSubscriber(rt)
	heard := make(chan string, 2)
	err = errors.Join(
		subscriber.OnGreet(func(_ context.Context, req *greeterv1.GreetRequest) (*greeterv1.Greeting, error) {
			return &greeterv1.Greeting{Name: req.GetName(), Text: "Hello, " + req.GetName() + "!"}, nil
		}),
		subscriber.OnGreeted(func(_ context.Context, msg *greeterv1.Greeting) error {
			heard <- msg.GetText()
			return nil
		}),
	)
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- rt.Run(ctx) }()
	select {
	case <-rt.Ready():
	case err := <-running:
		return err
	}

	// A request has a reply.
	client := greeterv1async.NewGreeterClient(rt)
	greeting, err := client.Greet(ctx, &greeterv1.GreetRequest{Name: "Ada"})
	if err != nil {
		return err
	}
	out.Line(console.Blue, "request", "Greet", "sync", "OnGreet", "push", greeting.GetText())

	// Send and wait: Greeted returns when the broker has stored the event.
	publisher := greeterv1async.NewGreeterPublisher(rt)
	if err := publisher.Greeted(ctx, greeting); err != nil {
		return err
	}
	out.Line(console.Green, "event", "Greeted", "sync", "OnGreeted", "push", <-heard)

	// Send and go on: the receipt resolves when the broker has stored the event.
	receipt := publisher.GreetedAsync(ctx, &greeterv1.Greeting{Name: "Bob", Text: "Hi, Bob!"})
	if err := receipt.Wait(ctx); err != nil {
		return err
	}
	out.Line(console.Green, "event", "GreetedAsync", "async", "OnGreeted", "push", <-heard)

	// Receive by pull: the caller asks for the next message. A command waits in its queue until somebody does.
	if err := publisher.Remember(ctx, &greeterv1.RememberRequest{Name: "Ada"}); err != nil {
		return err
	}
	name, err := recall(ctx, subscriber)
	if err != nil {
		return err
	}
	out.Line(console.Purple, "command", "Remember", "sync", "ReceiveRemember", "pull", name)
	receipt = publisher.RememberAsync(ctx, &greeterv1.RememberRequest{Name: "Bob"})
	if err := receipt.Wait(ctx); err != nil {
		return err
	}
	if name, err = recall(ctx, subscriber); err != nil {
		return err
	}
	out.Line(console.Purple, "command", "RememberAsync", "async", "ReceiveRemember", "pull", name)
	return nil
}

func recall(ctx context.Context, subscriber *greeterv1async.GreeterSubscriber) (string, error) {
	delivery, err := subscriber.ReceiveRemember(ctx)
	if err != nil {
		return "", err
	}
	return delivery.Msg.GetName(), delivery.Settle(ctx, nil)
}

func newConsole(w io.Writer) *console.Console { return console.New(w, 7, 13, 5, 17, 4) }
