// Orders runs three services, orders, billing and shipping, in one process. It places a few orders, waits until each has
// come to its end, and shows the one that ended as a dead letter. Then it shows where the time went; with -trace it draws that too:
//
//	go run ./examples/orders -trace trace.svg
//
// It runs in memory; ASYNC_TRANSPORT switches the broker. The same services run in processes of their own from cmd, and with
// a collector for their traces from export.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/examples/orders/internal/shop"
	"github.com/asyncpb/async/examples/orders/internal/waterfall"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
	_ "github.com/asyncpb/async/runtime/transport/gochanneltransport"
)

// Of the orders of the sample, late is shipped at the second attempt, and lost ends as a dead letter.
const late, lost = "A-2", "A-3"

func main() {
	file := flag.String("trace", "", "draw the trace of an order that is tried again, and the end of one that is a dead letter, to this file, as SVG")
	flag.Parse()
	// A broker in memory that has a name can be opened twice: to run, and to look at its dead letters.
	url := cmp.Or(os.Getenv("ASYNC_TRANSPORT"), "memory://shop")
	if exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter != "" && exporter != "none" {
		fmt.Fprintf(os.Stderr, "orders: this command exports no traces; to give them to %s: go -C examples/orders/export run .\n", exporter)
	}
	if err := run(context.Background(), url, *file); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, file string) error {
	recorder := new(waterfall.Recorder)
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(recorder))
	otel.SetTracerProvider(tracers)
	out := console.New(os.Stdout, 8, 1, 8)
	if err := shop.Run(ctx, url, "demo", out, async.WithTelemetry(asyncotel.New())); err != nil {
		return err
	}
	trace := recorder.Trace("order " + late)
	trace.Table(out)
	if file == "" {
		return nil
	}
	return os.WriteFile(file, waterfall.SVG(trace, recorder.Trace("order "+lost).Part("publish Ship")), 0o644)
}
