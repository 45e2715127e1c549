// Billing is the billing service in a process of its own. Several can run at once: they share the work.
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
	"github.com/asyncpb/async/examples/orders/internal/billing"
	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

func main() {
	config := flag.String("config", "examples/orders/cmd/async.yaml", "configuration `file`")
	flag.Parse()
	if err := run(*config); err != nil {
		fmt.Fprintln(os.Stderr, "billing:", err)
		os.Exit(1)
	}
}

func run(config string) (err error) {
	// The first signal ends Run, which lets the handlers finish.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	rt, err := async.Open(ctx, async.WithConfigFile(config), async.WithApp(billing.App), async.WithLogger(logger))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	if err := billing.Register(rt, console.New(os.Stdout, 8, 1, 8)); err != nil {
		return err
	}
	return rt.Run(ctx)
}
