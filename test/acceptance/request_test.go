package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// remote is the error that a request's handler made for its caller.
func remote(t *testing.T, err error) *async.Error {
	t.Helper()
	var failure *async.Error
	if !errors.As(err, &failure) {
		t.Fatalf("the error is %v, want an async.Error", err)
	}
	return failure
}

func price(sku string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(sku))
	return int64(h.Sum32())
}

// addresses are the reply addresses that a responder has seen.
type addresses struct {
	mu   sync.Mutex
	seen map[string]int
}

// watch is a middleware that looks at each request.
func (a *addresses) watch(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		a.mu.Lock()
		a.seen[msg.Metadata["async-reply-to"]]++
		a.mu.Unlock()
		return next(msg)
	}
}

func TestEveryReplyReachesItsOwnCallerThroughOneQueuePerRuntime(t *testing.T) {
	t.Parallel()
	const callers, calls = 64, 2000
	r := newRealm(t)
	seen := &addresses{seen: make(map[string]int)}
	responder := r.open(t, async.WithConcurrency(64), async.WithWatermillMiddleware(seen.watch))
	err := ordersv1async.NewOrdersSubscriber(responder).OnQuote(func(_ context.Context, q *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		if q.GetQuantity()%10 == 0 {
			return nil, async.NewError(async.CodeNotFound, "%s", q.GetSku())
		}
		return &ordersv1.QuoteResponse{Cents: price(q.GetSku())}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, responder)
	runtimes := [2]*async.Runtime{r.open(t), r.open(t)}
	clients := [2]ordersv1async.OrdersClient{ordersv1async.NewOrdersClient(runtimes[0]), ordersv1async.NewOrdersClient(runtimes[1])}
	ctx := bounded(t)
	began := time.Now()
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := caller; i < calls; i += callers {
				sku := fmt.Sprintf("caller-%d-call-%d", caller, i)
				reply, err := clients[caller%2].Quote(ctx, &ordersv1.QuoteRequest{Sku: sku, Quantity: int32(i)})
				var failure *async.Error
				switch {
				case i%10 == 0 && errors.As(err, &failure) && failure.Code == async.CodeNotFound && failure.Message == sku:
				case i%10 == 0:
					t.Errorf("%s: the reply is %v, %v, want its own error", sku, reply, err)
				case err != nil:
					t.Errorf("%s: %v", sku, err)
				case reply.GetCents() != price(sku):
					t.Errorf("%s: got the reply of another call", sku)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d calls by %d callers in %s", calls, callers, time.Since(began).Round(time.Millisecond))
	seen.mu.Lock()
	defer seen.mu.Unlock()
	total := 0
	for address, n := range seen.seen {
		total += n
		if _, consumers := r.inspect(t, address); consumers != 1 {
			t.Errorf("the reply queue %s has %d consumers, want 1", address, consumers)
		}
	}
	if len(seen.seen) != len(runtimes) || total != calls {
		t.Errorf("%d requests came with %d reply addresses, want %d requests with one address for each of %d runtimes", total, len(seen.seen), calls, len(runtimes))
	}
	for i, rt := range append(slices.Clone(runtimes[:]), responder) {
		if s := rt.Stats(); s != (async.Stats{}) {
			t.Errorf("runtime %d: something went astray: %+v", i, s)
		}
	}
}

func TestALateReplyIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	responder := r.open(t)
	entered, release := make(chan struct{}), make(chan struct{})
	err := ordersv1async.NewOrdersSubscriber(responder).OnQuote(func(_ context.Context, q *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		if q.GetSku() == "slow" {
			close(entered)
			<-release
		}
		return &ordersv1.QuoteResponse{Cents: price(q.GetSku())}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, responder)
	rt := r.open(t)
	client := ordersv1async.NewOrdersClient(rt)
	ctx, cancel := context.WithCancel(bounded(t))
	call := client.QuoteAsync(ctx, &ordersv1.QuoteRequest{Sku: "slow"})
	await(t, entered, "the handler")
	cancel()
	if _, err := call.Wait(bounded(t)); async.CodeOf(err) != async.CodeCanceled || !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call ended with %v", err)
	}
	close(release)
	eventually(t, "the late reply is counted", func() bool { return rt.Stats().LateReplies == 1 })
	reply, err := client.Quote(bounded(t), &ordersv1.QuoteRequest{Sku: "next"})
	if err != nil || reply.GetCents() != price("next") {
		t.Errorf("the next call got %v, %v", reply, err)
	}
}

func TestACallThatNobodyConsumesIsUnroutable(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	began := time.Now()
	_, err := ordersv1async.NewOrdersClient(r.open(t)).Quote(bounded(t), &ordersv1.QuoteRequest{Sku: "nut"})
	if !errors.Is(err, async.ErrUnroutable) {
		t.Errorf("the call ended with %v, want ErrUnroutable", err)
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("the call took %s: it waited for its timeout", took)
	}
}
