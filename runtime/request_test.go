package async_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// quoter answers Quote with a function.
type quoter struct {
	ordersv1async.UnimplementedOrdersHandler
	quote func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error)
}

func (q quoter) Quote(ctx context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
	return q.quote(ctx, req)
}

// serve runs a runtime that answers Quote.
func (w *world) serve(t *testing.T, quote func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error), opts ...async.Option) *async.Runtime {
	t.Helper()
	rt := w.open(t, opts...)
	must(t, ordersv1async.RegisterOrdersHandler(rt, quoter{quote: quote}))
	run(t, rt)
	return rt
}

func TestARequestHasAReply(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		w.serve(t, func(ctx context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			deadline, ok := ctx.Deadline()
			if left := time.Until(deadline); !ok || left > 10*time.Second || left < time.Second {
				return nil, async.NewError(async.CodeInternal, "the deadline is %s away", left)
			}
			for _, color := range []string{"red", "green"} {
				if err := async.SetReplyHeader(ctx, "color", color); err != nil {
					return nil, err
				}
			}
			if err := async.SetReplyHeader(ctx, "async-status", "1"); err == nil {
				return nil, async.NewError(async.CodeInternal, "a reserved reply header was taken")
			}
			for _, cost := range []string{"1", "2"} {
				if err := async.SetReplyTrailer(ctx, "cost", cost); err != nil {
					return nil, err
				}
			}
			if err := async.SetReplyTrailer(ctx, "Color", "Red"); err == nil {
				return nil, async.NewError(async.CodeInternal, "a reply trailer with capitals was taken")
			}
			return &ordersv1.QuoteResponse{Cents: int64(req.GetQuantity()) * 3}, nil
		})
		client := ordersv1async.NewOrdersClient(w.open(t))
		call := client.QuoteAsync(t.Context(), &ordersv1.QuoteRequest{Quantity: 7})
		res, err := call.Wait(t.Context())
		must(t, err)
		<-call.Done()
		if res.GetCents() != 21 {
			t.Errorf("got %v", res)
		}
		if diff := cmp.Diff(async.Headers{"color": {"red", "green"}}, call.Info().Headers); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(async.Headers{"cost": {"1", "2"}}, call.Info().Trailers); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRepliesReachTheirOwnCallers(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		w.serve(t, func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			return &ordersv1.QuoteResponse{Cents: int64(req.GetQuantity())}, nil
		})
		var callers sync.WaitGroup
		for c := range 4 {
			client := ordersv1async.NewOrdersClient(w.open(t))
			callers.Go(func() {
				for i := range 25 {
					n := int32(c*1000 + i)
					res, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{Quantity: n})
					if err != nil || res.GetCents() != int64(n) {
						t.Errorf("asked %d: %v, %v", n, res, err)
					}
				}
			})
		}
		callers.Wait()
	})
}

func TestAHandlersErrorReachesTheCaller(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		detail, err := anypb.New(&ordersv1.OrderPlaced{OrderId: "1"})
		must(t, err)
		remote := make(chan error, 1)
		answers := map[string]error{
			"local":    &async.Error{Code: async.CodeNotFound, Message: "no such thing", Details: []*anypb.Any{detail}},
			"wrapped":  fmt.Errorf("wrapped: %w", async.NewError(async.CodeAborted, "busy: %w", errors.New("cause"))),
			"foreign":  errors.New("password=hunter2"),
			"deadline": fmt.Errorf("db: %w", context.DeadlineExceeded),
			"verdict":  async.Reject(errors.New("secret")),
			"invalid":  &async.Error{Code: 99, Message: "secret"},
		}
		w.serve(t, func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			switch req.GetSku() {
			case "panic":
				panic("secret")
			case "nothing":
				return nil, nil //nolint:nilnil // the test is about a handler that does this
			case "remote":
				return nil, <-remote
			default:
				return nil, answers[req.GetSku()]
			}
		})
		client := ordersv1async.NewOrdersClient(w.open(t))
		tests := []struct {
			sku     string
			code    async.Code
			message string
			details int
		}{
			{"local", async.CodeNotFound, "no such thing", 1},
			{"wrapped", async.CodeAborted, "busy: cause", 0},
			{"foreign", async.CodeUnknown, "", 0},
			{"deadline", async.CodeDeadlineExceeded, "", 0},
			{"verdict", async.CodeUnknown, "", 0},
			{"invalid", async.CodeUnknown, "", 0},
			{"panic", async.CodeInternal, "the handler panicked", 0},
			{"nothing", async.CodeInternal, "the handler returned neither a reply nor an error", 0},
			{"remote", async.CodeUnknown, "", 0},
		}
		for _, tt := range tests {
			_, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{Sku: tt.sku})
			var e *async.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Message != tt.message || len(e.Details) != tt.details || !e.Remote() {
				t.Errorf("%s: got %#v", tt.sku, err)
				continue
			}
			if tt.sku == "local" {
				if diff := cmp.Diff(detail, e.Details[0], protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
				remote <- err // what another service said is not passed on
			}
		}
		for code := async.CodeCanceled; code <= async.CodeUnauthenticated; code++ {
			remote <- &async.Error{Code: code}
			if _, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{Sku: "remote"}); async.CodeOf(err) != code {
				t.Errorf("%s came as %v", code, err)
			}
		}
	})
}

func TestARequestToAStubIsUnimplemented(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		must(t, ordersv1async.RegisterOrdersHandler(rt, ordersv1async.UnimplementedOrdersHandler{}))
		run(t, rt)
		_, err := ordersv1async.NewOrdersClient(rt).Quote(t.Context(), &ordersv1.QuoteRequest{})
		if async.CodeOf(err) != async.CodeUnimplemented {
			t.Errorf("got %v", err)
		}
	})
}

func TestACallEndsAtItsDeadlineAndTheLateReplyIsCounted(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		cause := make(chan error, 2)
		w.serve(t, func(ctx context.Context, _ *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			<-ctx.Done()
			cause <- ctx.Err()
			<-release
			return &ordersv1.QuoteResponse{}, nil
		})
		rt := w.open(t)
		client := ordersv1async.NewOrdersClient(rt)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := client.Quote(ctx, &ordersv1.QuoteRequest{})
		if async.CodeOf(err) != async.CodeDeadlineExceeded || time.Since(start) > 3*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		wantErr(t, next(t, cause), context.DeadlineExceeded)
		close(release)
		if w.caps.Mandatory != transport.None {
			// The responder gives its reply up at the deadline, or it comes late: either way nobody gets it.
			eventually(t, "the late reply is dropped", func() bool { return rt.Stats().LateReplies <= 1 })
		}
		ctx, cancel = context.WithCancel(t.Context())
		call := client.QuoteAsync(ctx, &ordersv1.QuoteRequest{})
		cancel()
		if _, err := call.Wait(t.Context()); async.CodeOf(err) != async.CodeCanceled {
			t.Errorf("a canceled call: %v", err)
		}
		if _, err := client.Quote(ctx, &ordersv1.QuoteRequest{}); async.CodeOf(err) != async.CodeCanceled {
			t.Errorf("a call with an ended context: %v", err)
		}
	})
}

func TestALateReplyIsDroppedAndCounted(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		w.serve(t, func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			if req.GetSku() == "slow" {
				<-release
			}
			return &ordersv1.QuoteResponse{}, nil
		})
		rt := w.open(t)
		client := ordersv1async.NewOrdersClient(rt)
		ctx, cancel := context.WithCancel(t.Context())
		call := client.QuoteAsync(ctx, &ordersv1.QuoteRequest{Sku: "slow"}) // its deadline is far away
		_, err := client.Quote(t.Context(), &ordersv1.QuoteRequest{})
		must(t, err)
		cancel()
		<-call.Done()
		close(release)
		eventually(t, "the late reply is counted", func() bool { return rt.Stats().LateReplies == 1 })
	})
}

func TestARequestPastItsDeadlineIsNotHandled(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		handled := make(chan string, 2)
		rt := w.serve(t, func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			handled <- req.GetSku()
			return &ordersv1.QuoteResponse{}, nil
		})
		w.inject(t, transport.Publication{Topic: w.topic(ordersv1async.OrdersQuoteTopic), RoutingKey: "acme.orders.v1.QuoteRequest"}, "late", nil,
			map[string]string{"ce-id": "late", "ce-type": "acme.orders.v1.QuoteRequest", "async-deadline": fmt.Sprint(time.Now().Add(-time.Second).UnixNano())})
		eventually(t, "the expired request is counted", func() bool { return rt.Stats().Expired == 1 })
		_, err := ordersv1async.NewOrdersClient(w.open(t)).Quote(t.Context(), &ordersv1.QuoteRequest{Sku: "in time"})
		must(t, err)
		if sku := next(t, handled); sku != "in time" {
			t.Errorf("handled %q", sku)
		}
	})
}

func TestARequestThatCannotBeDecodedIsAnsweredAndKept(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.serve(t, func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
			return nil, errors.New("the handler was called")
		})
		caller := w.open(t, async.WithInterceptors(async.Interceptor{Send: func(next async.SendFunc) async.SendFunc {
			return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
				out.Metadata = map[string]string{"ce-type": "acme.orders.v1.Other"}
				return next(ctx, out)
			}
		}}))
		_, err := ordersv1async.NewOrdersClient(caller).Quote(t.Context(), &ordersv1.QuoteRequest{Sku: "x"})
		if async.CodeOf(err) != async.CodeInvalidArgument || !strings.Contains(err.Error(), "acme.orders.v1.Other") {
			t.Errorf("got %v", err)
		}
		eventually(t, "the request is a dead letter", func() bool { return rt.Stats().DeadLettered == 1 })
	})
}
