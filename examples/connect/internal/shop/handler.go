// Package shop implements the service once, for every wire.
package shop

import (
	"context"
	"fmt"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/emptypb"

	checkoutv1 "github.com/asyncpb/async/examples/connect/gen/shop/checkout/v1"
	"github.com/asyncpb/async/examples/internal/console"
)

// prices are what articles cost, in cents.
var prices = map[string]int64{"teapot": 1250, "kettle": 3100}

// Handler takes orders. It does not know which wire they came over; it only asks, to show it.
type Handler struct{ out *console.Console }

// NewHandler returns a handler that says on out what it does.
func NewHandler(out *console.Console) *Handler { return &Handler{out: out} }

// Quote names a price.
func (h *Handler) Quote(ctx context.Context, req *checkoutv1.QuoteRequest) (*checkoutv1.QuoteResponse, error) {
	price, ok := prices[req.GetArticle()]
	if !ok {
		h.say(ctx, "Quote", "no "+req.GetArticle())
		return nil, connect.Errorf(connect.CodeNotFound, "there is no article %q", req.GetArticle())
	}
	h.say(ctx, "Quote", fmt.Sprintf("%d × %s", req.GetQuantity(), req.GetArticle()))
	return &checkoutv1.QuoteResponse{Cents: price * int64(req.GetQuantity())}, nil
}

// Place takes an order. Over the broker its error decides what becomes of the message: NotFound makes it a dead letter at once.
func (h *Handler) Place(ctx context.Context, req *checkoutv1.PlaceRequest) (*emptypb.Empty, error) {
	if _, ok := prices[req.GetArticle()]; !ok {
		h.say(ctx, "Place", "refused "+req.GetOrderId())
		return nil, connect.Errorf(connect.CodeNotFound, "there is no article %q", req.GetArticle())
	}
	h.say(ctx, "Place", req.GetOrderId())
	return new(emptypb.Empty), nil
}

func (h *Handler) say(ctx context.Context, rpc, what string) {
	if info, ok := connect.CallInfoForServerContext(ctx); ok {
		h.out.Line(console.Green, info.Protocol, rpc, what)
	}
}
