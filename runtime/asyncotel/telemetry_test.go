package asyncotel_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is a writer for many goroutines.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestWhatTheRuntimeLogsOfAMessageNamesItsTrace(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func(slog.Handler) slog.Handler{
		"by the telemetry alone":          func(h slog.Handler) slog.Handler { return h },
		"once, where the logger does too": asyncotel.LogHandler,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namesTraces(t, handler)
		})
	}
}

func namesTraces(t *testing.T, handler func(slog.Handler) slog.Handler) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	out := new(lines)
	rt, err := async.Open(
		t.Context(), async.WithURL("memory://"), async.WithLogger(slog.New(handler(slog.NewTextHandler(out, nil)))),
		async.WithTelemetry(asyncotel.New(asyncotel.WithTracerProvider(tracers))),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := ordersv1async.NewOrdersSubscriber(rt).OnShip(func(context.Context, *ordersv1.ShipRequest) error {
		return async.Reject(errors.New("nobody goes there"))
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- rt.Run(ctx) }()
	<-rt.Ready()
	if err := ordersv1async.NewOrdersPublisher(rt).Ship(ctx, &ordersv1.ShipRequest{OrderId: "A-3"}); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); !strings.Contains(out.String(), "is a dead letter"); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("nothing was logged but:\n%s", out)
		}
	}
	stop()
	if err := errors.Join(<-ran, rt.Close()); err != nil {
		t.Fatal(err)
	}
	for _, span := range recorder.Ended() {
		if !strings.HasPrefix(span.Name(), "process ") {
			continue
		}
		if id := span.SpanContext().SpanID().String(); !strings.Contains(out.String(), "span_id="+id) {
			t.Errorf("span %s is not in what was logged:\n%s", id, out)
		}
		for line := range strings.Lines(out.String()) {
			if n := strings.Count(line, "trace_id="); n > 1 {
				t.Errorf("a record has the id of its trace %d times: %s", n, line)
			}
		}
	}
}
