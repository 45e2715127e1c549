package async_test

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/anypb"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// A request is a send and a reply.
func ExampleClient_Call() {
	rt := open()
	check(ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		return &ordersv1.QuoteResponse{Cents: 1800 * int64(req.GetQuantity())}, nil
	}))
	defer start(rt)()
	quote, err := ordersv1async.NewOrdersClient(rt).Quote(context.Background(), &ordersv1.QuoteRequest{Sku: "teapot", Quantity: 2})
	fmt.Println(quote.GetCents(), err)
	// Output:
	// 3600 <nil>
}

// Many calls can be under way at once.
func ExampleClient_CallAsync() {
	rt := open()
	check(ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		return &ordersv1.QuoteResponse{Cents: int64(req.GetQuantity())}, nil
	}))
	defer start(rt)()
	ctx := context.Background()
	client := ordersv1async.NewOrdersClient(rt)
	var calls []*async.Call[*ordersv1.QuoteResponse]
	for quantity := range int32(3) {
		calls = append(calls, client.QuoteAsync(ctx, &ordersv1.QuoteRequest{Quantity: quantity}))
	}
	for _, call := range calls {
		quote, err := call.Wait(ctx)
		fmt.Println(quote.GetCents(), err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
	// 2 <nil>
}

// An error of a handler is its reply: code, message and details reach the caller.
func ExampleError() {
	rt := open()
	check(ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(_ context.Context, req *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		refusal := async.NewError(async.CodeNotFound, "there is no article %q", req.GetSku())
		instead, err := anypb.New(&ordersv1.QuoteRequest{Sku: "teapot"})
		if err != nil {
			return nil, err
		}
		refusal.Details = append(refusal.Details, instead)
		return nil, refusal
	}))
	defer start(rt)()

	_, err := ordersv1async.NewOrdersClient(rt).Quote(context.Background(), &ordersv1.QuoteRequest{Sku: "unicorn"})
	if refusal, ok := errors.AsType[*async.Error](err); ok {
		instead := new(ordersv1.QuoteRequest)
		check(refusal.Details[0].UnmarshalTo(instead))
		fmt.Println(refusal.Code, refusal.Message, "try", instead.GetSku())
	}
	// Output:
	// not_found there is no article "unicorn" try teapot
}

// An error of any other kind keeps its text at home.
func ExampleCodeOf() {
	rt := open()
	check(ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		return nil, errors.New("the password of the database is wrong")
	}))
	defer start(rt)()
	_, err := ordersv1async.NewOrdersClient(rt).Quote(context.Background(), &ordersv1.QuoteRequest{})
	fmt.Println(async.CodeOf(err))
	fmt.Println(err)
	// Output:
	// unknown
	// async: call acme.orders.v1.Orders/Quote: unknown
}

// Headers of the reply are in the call's Info.
func ExampleSetReplyHeader() {
	rt := open()
	check(ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(ctx context.Context, _ *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		return &ordersv1.QuoteResponse{Cents: 1800}, async.SetReplyHeader(ctx, "valid-for", "1h")
	}))
	defer start(rt)()
	ctx := context.Background()
	call := ordersv1async.NewOrdersClient(rt).QuoteAsync(ctx, &ordersv1.QuoteRequest{Sku: "teapot"})
	quote, err := call.Wait(ctx)
	fmt.Println(quote.GetCents(), err, call.Info().Headers.First("valid-for"))
	// Output:
	// 1800 <nil> 1h
}
