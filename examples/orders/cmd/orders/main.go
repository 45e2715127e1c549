// Orders is the orders service in a process of its own. It places a few orders, as soon as billing is there, and hears what
// becomes of them until it is told to end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/examples/orders/internal/ordering"
	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

func main() {
	config := flag.String("config", "examples/orders/cmd/async.yaml", "configuration `file`")
	flag.Parse()
	if err := run(*config); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

func run(config string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	rt, err := async.Open(ctx, async.WithConfigFile(config), async.WithApp(ordering.App), async.WithLogger(logger))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	service, err := ordering.Register(rt, console.New(os.Stdout, 8, 1, 8))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	select {
	case <-rt.Ready():
	case err := <-ended:
		return err
	}
	if err := service.PlaceAll(ctx, ordering.Sample); err != nil && ctx.Err() == nil {
		return err
	}
	return <-ended
}
