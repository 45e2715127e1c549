package asyncotel_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

// wait sends a message in a span, lets so much time pass before a handler runs, and returns in how many of the calls of the handler, which
// fails with the verdicts, the trace was the sender's, and how many calls there were.
func wait(t *testing.T, unattended time.Duration, verdicts []error, send []async.SendOption, opts []asyncotel.Option) (joined, calls int) {
	t.Helper()
	tracers := sdktrace.NewTracerProvider()
	rt, err := async.Open(t.Context(), async.WithURL("memory://"), async.WithTelemetry(asyncotel.New(append(opts, asyncotel.WithTracerProvider(tracers))...)))
	if err != nil {
		t.Fatal(err)
	}
	spec := shipping(async.OrderingUnordered)
	caller, span := tracers.Tracer("program").Start(context.Background(), "order")
	if err := async.NewPublisher[*ordersv1.ShipRequest](rt, spec).Send(caller, &ordersv1.ShipRequest{OrderId: "A-1"}, send...); err != nil {
		t.Fatal(err)
	}
	span.End()
	<-time.After(unattended)
	done := make(chan struct{})
	if err := async.Handle(rt, spec, func(ctx context.Context, _ *ordersv1.ShipRequest) error {
		if trace.SpanContextFromContext(ctx).TraceID() == span.SpanContext().TraceID() {
			joined++
		}
		calls++
		if calls > len(verdicts) {
			close(done)
			return nil
		}
		return verdicts[calls-1]
	}); err != nil {
		t.Fatal(err)
	}
	stop := running(t, rt)
	<-done
	stop()
	return joined, calls
}

func TestATraceEndsWithAMessageThatHasWaitedForTooLong(t *testing.T) {
	t.Parallel()
	late := errors.New("the ferry is late")
	for name, row := range map[string]struct {
		unattended time.Duration
		verdicts   []error
		send       []async.SendOption
		opts       []asyncotel.Option
		want       int // calls in the sender's trace, of one more than there are verdicts
	}{
		"a quarter of an hour is not too long":                {unattended: 14 * time.Minute, want: 1},
		"more is":                                             {unattended: 16 * time.Minute, want: 0},
		"a minute is, where it shall be":                      {unattended: 2 * time.Minute, opts: []asyncotel.Option{asyncotel.WithMaxTraceAge(time.Minute)}, want: 0},
		"an hour is not, where it shall not be":               {unattended: time.Hour, opts: []asyncotel.Option{asyncotel.WithMaxTraceAge(2 * time.Hour)}, want: 1},
		"without a bound nothing is":                          {unattended: 24 * time.Hour, opts: []asyncotel.Option{asyncotel.WithMaxTraceAge(0)}, want: 1},
		"a delay is not: it is wanted":                        {send: []async.SendOption{async.WithDelay(time.Hour)}, want: 1},
		"after a delay the time begins when the send is due":  {unattended: 80 * time.Minute, send: []async.SendOption{async.WithDelay(time.Hour)}, want: 0},
		"a retry after an hour is in the trace of its story":  {verdicts: []error{async.RetryAfter(time.Hour, late)}, want: 2},
		"a retry is, of one that came too late at first, too": {unattended: 16 * time.Minute, verdicts: []error{late}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				joined, calls := wait(t, row.unattended, row.verdicts, row.send, row.opts)
				if joined != row.want || calls != len(row.verdicts)+1 {
					t.Errorf("%d of %d calls were in the sender's trace, want %d", joined, calls, row.want)
				}
			})
		})
	}
}
