package async_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// fullQueue is a runtime in memory whose queue of Ship holds as much as it takes. It works inside a bubble of synctest.
func fullQueue(t *testing.T, opts ...async.Option) (*async.Runtime, ordersv1async.OrdersPublisher) {
	t.Helper()
	opts = append(opts, async.WithTransport(memorytransport.New(memorytransport.WithCapacity(1))), async.WithDrainTimeout(5*time.Second))
	rt, err := async.Open(t.Context(), opts...)
	must(t, err)
	orders := ordersv1async.NewOrdersPublisher(rt)
	must(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "first"}))
	return rt, orders
}

func TestASendToAFullQueueWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt, orders := fullQueue(t)
		sent := make(chan error, 1)
		go func() { sent <- orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "second"}) }()
		synctest.Wait()
		if len(sent) > 0 {
			t.Fatalf("it did not wait: %v", <-sent)
		}
		subscriber := ordersv1async.NewOrdersSubscriber(rt)
		for _, want := range []string{"first", "second"} {
			delivery, err := subscriber.ReceiveShip(t.Context())
			must(t, err)
			if got := delivery.Msg.GetOrderId(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			must(t, delivery.Settle(t.Context(), nil))
		}
		must(t, <-sent)
		must(t, rt.Close())
	})
}

func TestASendToAFullQueueEnds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		yaml  string
		opts  []async.SendOption
		bound time.Duration // of the caller's context
		after time.Duration
		want  error
		text  string
	}{
		"at the send timeout": {
			after: 30 * time.Second, want: async.ErrBlocked, text: "holds 1 messages, as many as it takes",
		},
		"at the send timeout of the configuration": {
			yaml: "version: 1\ndefaults: {send_timeout: 2s}", after: 2 * time.Second, want: async.ErrBlocked,
		},
		"with the caller's context": {
			bound: time.Second, after: time.Second, want: async.ErrBlocked,
		},
		"at once when the caller does not want to wait": {
			opts: []async.SendOption{async.WithNoWait()}, want: async.ErrBacklog, text: "holds 1 messages",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opts []async.Option
			if test.yaml != "" {
				opts = append(opts, async.WithConfigFile(written(t, "async.yaml", test.yaml)))
			}
			synctest.Test(t, func(t *testing.T) {
				rt, orders := fullQueue(t, opts...)
				ctx := t.Context()
				if test.bound > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.bound)
					defer cancel()
				}
				start := time.Now()
				err := orders.Ship(ctx, &ordersv1.ShipRequest{OrderId: "second"}, test.opts...)
				wantErr(t, err, test.want)
				if !strings.Contains(err.Error(), test.text) {
					t.Errorf("got %q, want %q in it", err, test.text)
				}
				if took := time.Since(start); took != test.after {
					t.Errorf("it took %s, want %s", took, test.after)
				}
				must(t, rt.Close())
			})
		})
	}
}

func TestABatchToAFullQueueTellsWhichMessagesAreStored(t *testing.T) {
	t.Parallel()
	rt, err := async.Open(t.Context(), async.WithTransport(memorytransport.New(memorytransport.WithCapacity(2))))
	must(t, err)
	err = ordersv1async.NewOrdersPublisher(rt).ShipBatch(t.Context(),
		[]*ordersv1.ShipRequest{{OrderId: "1"}, {OrderId: "2"}, {OrderId: "3"}}, async.WithNoWait())
	var batch *async.BatchError
	if !errors.As(err, &batch) || batch.Errs[0] != nil || batch.Errs[1] != nil || !errors.Is(batch.Errs[2], async.ErrBacklog) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(err.Error(), "1 of 3 messages failed, first [2]") || !errors.Is(err, async.ErrBacklog) {
		t.Errorf("the error says %q", err)
	}
	must(t, rt.Close())
}

func TestEveryAsyncSendThatFailsIsSeenInOnePlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type failure struct {
			rpc, id string
			err     error
		}
		var seen []failure
		rt, orders := fullQueue(t, async.WithSendErrorFunc(func(spec *async.Spec, id string, err error) {
			seen = append(seen, failure{spec.Name(), id, err})
		}))
		receipt := orders.ShipAsync(t.Context(), &ordersv1.ShipRequest{}, async.WithMessageID("second"))
		wantErr(t, receipt.Wait(t.Context()), async.ErrBlocked)
		wantErr(t, orders.ShipAsync(t.Context(), &ordersv1.ShipRequest{}, async.WithMessageID("third"), async.WithNoWait()).Err(), async.ErrBacklog)
		wantErr(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithNoWait()), async.ErrBacklog)
		if len(seen) != 2 {
			t.Fatalf("seen: %v, want the two asynchronous ones", seen)
		}
		for i, want := range []failure{{"acme.orders.v1.Orders/Ship", "second", async.ErrBlocked}, {"acme.orders.v1.Orders/Ship", "third", async.ErrBacklog}} {
			if seen[i].rpc != want.rpc || seen[i].id != want.id || !errors.Is(seen[i].err, want.err) {
				t.Errorf("seen: %v, want %v", seen[i], want)
			}
		}
		must(t, rt.Close())
	})
}

func TestCloseWaitsForOpenSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt, orders := fullQueue(t)
		sent, closed := make(chan error, 1), make(chan error, 1)
		go func() { sent <- orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "second"}) }()
		synctest.Wait()
		start := time.Now()
		go func() { closed <- rt.Close() }()
		synctest.Wait()
		if len(closed) > 0 {
			t.Fatalf("close did not wait: %v", <-closed)
		}
		wantErr(t, orders.Ship(t.Context(), &ordersv1.ShipRequest{OrderId: "late"}), async.ErrClosed)
		err := <-closed
		wantErr(t, err, async.ErrDrainTimeout)
		if !strings.Contains(err.Error(), "open sends") || time.Since(start) != 5*time.Second {
			t.Errorf("close returned %q after %s", err, time.Since(start))
		}
		wantErr(t, <-sent, async.ErrClosed)
		if again := rt.Close(); again == nil || again.Error() != err.Error() {
			t.Errorf("a second close returned %v", again)
		}
		wantErr(t, rt.Run(t.Context()), async.ErrClosed)
	})
}

func TestCloseEndsOpenCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rt, err := async.Open(t.Context(), async.WithTransport(memorytransport.New()), async.WithDrainTimeout(time.Second))
		must(t, err)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(ctx context.Context, _ *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}))
		ran := make(chan error, 1)
		go func() { ran <- rt.Run(t.Context()) }()
		<-rt.Ready()
		call := ordersv1async.NewOrdersClient(rt).QuoteAsync(t.Context(), &ordersv1.QuoteRequest{})
		synctest.Wait()
		if call.Info() != nil {
			t.Error("a call that is under way has an Info")
		}
		must(t, rt.Close())
		must(t, <-ran)
		_, err = call.Wait(t.Context())
		if async.CodeOf(err) == async.CodeDeadlineExceeded || err == nil {
			t.Errorf("got %v, want an error before the deadline", err)
		}
	})
}
