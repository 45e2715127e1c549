package asyncotel_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport"
)

// chain has handlers send the next of so many messages, one after the other, and returns how many were handled in each trace, in the
// order of the traces, and the most handlers that a message says it has come through.
func chain(t *testing.T, messages int, mode async.TraceMode, opts ...asyncotel.Option) (perTrace []int, most int) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	rt, err := async.Open(t.Context(), async.WithURL("memory://"), async.WithTelemetry(asyncotel.New(append(opts, asyncotel.WithTracerProvider(tracers))...)))
	if err != nil {
		t.Fatal(err)
	}
	orders := ordersv1async.NewOrdersPublisher(rt)
	done := make(chan struct{})
	hops := async.WithInterceptors(async.Interceptor{Handle: func(next async.HandleFunc) async.HandleFunc {
		return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
			n, _ := strconv.Atoi(in.Metadata[transport.MetaHops])
			most = max(most, n)
			return next(ctx, in)
		}
	}})
	if err := ordersv1async.NewOrdersSubscriber(rt, async.WithTraceMode(mode), hops).OnShip(func(ctx context.Context, msg *ordersv1.ShipRequest) error {
		n, err := strconv.Atoi(msg.GetOrderId())
		if err != nil {
			return async.Reject(err)
		}
		if n == messages {
			close(done)
			return nil
		}
		return orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: strconv.Itoa(n + 1)})
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- rt.Run(ctx) }()
	<-rt.Ready()
	if err := orders.Ship(context.Background(), &ordersv1.ShipRequest{OrderId: "1"}); err != nil {
		t.Fatal(err)
	}
	<-done
	stop()
	if err := errors.Join(<-ran, rt.Close()); err != nil {
		t.Fatal(err)
	}
	// A handler's span may end after the one that it has caused: the trace that began first is the first.
	handled := make(map[trace.TraceID]int)
	var order []trace.TraceID
	for _, s := range recorder.Started() {
		if id := s.SpanContext().TraceID(); strings.HasPrefix(s.Name(), "process ") {
			if handled[id]++; handled[id] == 1 {
				order = append(order, id)
			}
		}
	}
	for _, id := range order {
		perTrace = append(perTrace, handled[id])
	}
	return perTrace, most
}

func TestAChainBeginsANewTraceEachTimeItHasComeThroughTooManyHandlers(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		mode async.TraceMode
		opts []asyncotel.Option
		want []int
		most int
	}{
		"four times the bound is four traces":       {opts: []asyncotel.Option{asyncotel.WithMaxHops(3)}, want: []int{3, 3, 3, 3}, most: 3},
		"without a bound it is one":                 {opts: []asyncotel.Option{asyncotel.WithMaxHops(0)}, want: []int{12}, most: 11},
		"the default bound is not reached":          {want: []int{12}, most: 11},
		"linked traces count their handlers afresh": {mode: async.TraceLink, opts: []asyncotel.Option{asyncotel.WithMaxHops(3)}, want: []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, most: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, most := chain(t, 12, row.mode, row.opts...)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("handlers of each trace (-want +got):\n%s", diff)
			}
			if most != row.most {
				t.Errorf("a message says that it has come through %d handlers, want %d at most", most, row.most)
			}
		})
	}
}

func TestTheDefaultBoundOfHandlersBeginsEveryTraceAfresh(t *testing.T) {
	t.Parallel()
	got, _ := chain(t, 64, async.TraceUnspecified)
	if diff := cmp.Diff([]int{32, 32}, got); diff != "" {
		t.Errorf("handlers of each trace (-want +got):\n%s", diff)
	}
}
