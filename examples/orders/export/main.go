// Export runs the shop of examples/orders and gives its traces to whatever OpenTelemetry's environment variables name:
//
//	OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf go run .
//
// It is a module of its own, so that the exporters are in nobody's dependencies who only uses the library.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/examples/orders/internal/shop"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
	_ "github.com/asyncpb/async/runtime/transport/gochanneltransport"
)

func main() {
	url := cmp.Or(os.Getenv("ASYNC_TRANSPORT"), "memory://shop")
	if err := run(context.Background(), url, console.New(os.Stdout, 8, 1, 8)); err != nil {
		fmt.Fprintln(os.Stderr, "export:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string, out *console.Console) (err error) {
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return err
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	defer func() { err = errors.Join(err, tracers.Shutdown(ctx)) }()
	otel.SetTracerProvider(tracers)
	return shop.Run(ctx, url, "demo", out, async.WithTelemetry(asyncotel.New()))
}
