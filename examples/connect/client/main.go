// Client asks for a price and places an order. Its configuration says over which wire each call goes; the code does not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	checkoutv1 "github.com/asyncpb/async/examples/connect/gen/shop/checkout/v1"
	"github.com/asyncpb/async/examples/connect/gen/shop/checkout/v1/checkoutv1connect"
	"github.com/asyncpb/async/examples/internal/console"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

func main() {
	url := flag.String("server", "http://127.0.0.1:8080", "`URL` of the HTTP server")
	config := flag.String("config", "examples/connect/client/broker.yaml", "configuration `file`")
	order := flag.String("order", "A-1", "`id` of the order")
	flag.Parse()
	if err := run(context.Background(), *url, *config, *order, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, config, order string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	rt, err := async.Open(ctx, async.WithConfigFile(config))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	say := console.New(out, 8, 5)

	transport := asyncconnect.Route(rt, connecthttp.NewTransport(http.DefaultClient, url))
	orders := checkoutv1connect.NewOrdersClient(connect.NewClient(transport))

	quoting, call := connect.NewClientContext(ctx)
	quote, err := orders.Quote(quoting, &checkoutv1.QuoteRequest{Article: "teapot", Quantity: 2})
	if err != nil {
		return err
	}
	say.Line(console.Blue, call.Protocol, "Quote", fmt.Sprintf("%d cents", quote.GetCents()))

	placing, call := connect.NewClientContext(ctx)
	if _, err := orders.Place(placing, &checkoutv1.PlaceRequest{OrderId: order, Article: "teapot", Quantity: 2}); err != nil {
		return err
	}
	say.Line(console.Blue, call.Protocol, "Place", order)
	return nil
}
