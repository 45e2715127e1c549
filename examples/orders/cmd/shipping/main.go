// Shipping is the shipping service in a process of its own. At its end it shows the dead letters that it made.
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
	"time"

	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/examples/orders/internal/deadletter"
	"github.com/asyncpb/async/examples/orders/internal/shipping"
	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

func main() {
	config := flag.String("config", "examples/orders/cmd/async.yaml", "configuration `file`")
	flag.Parse()
	if err := run(*config); err != nil {
		fmt.Fprintln(os.Stderr, "shipping:", err)
		os.Exit(1)
	}
}

func run(config string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	rt, err := async.Open(ctx, async.WithConfigFile(config), async.WithApp(shipping.App), async.WithLogger(logger))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	out := console.New(os.Stdout, 8, 1, 8)
	service, err := shipping.Register(rt, out)
	if err != nil {
		return err
	}
	if err := rt.Run(ctx); err != nil {
		return err
	}
	queue := service.DeadQueue()
	if queue == "" {
		return nil
	}
	looking, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out.Title("Dead letters")
	return deadletter.Report(looking, os.Getenv("ASYNC_TRANSPORT"), queue, out)
}
