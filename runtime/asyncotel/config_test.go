package asyncotel_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

func TestTheConfigurationSwitchesTelemetryOn(t *testing.T) { //nolint:paralleltest // it sets the program's tracer
	recorder := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	defer otel.SetTracerProvider(before)
	for name, row := range map[string]struct {
		telemetry string
		spans     int
	}{
		"named": {"telemetry: otel\n", 1},
		"not":   {"", 0},
	} {
		file := filepath.Join(t.TempDir(), "async.yaml")
		if err := os.WriteFile(file, []byte("version: 1\ntransport: \"memory://\"\n"+row.telemetry), 0o600); err != nil {
			t.Fatal(err)
		}
		rt, err := async.Open(t.Context(), async.WithConfigFile(file))
		if err != nil {
			t.Fatal(err)
		}
		had := len(recorder.Ended())
		if err := ordersv1async.NewOrdersPublisher(rt).Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "A-1"}); err != nil {
			t.Fatal(err)
		}
		if err := rt.Close(); err != nil {
			t.Fatal(err)
		}
		if got := len(recorder.Ended()) - had; got != row.spans {
			t.Errorf("%s: %d spans, want %d", name, got, row.spans)
		}
	}
}
