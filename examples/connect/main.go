// Connect serves one handler over HTTP (Connect, gRPC and gRPC-Web) and from a message broker at once. README.md shows how to call it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/asyncpb/async/examples/connect/gen/shop/checkout/v1/checkoutv1connect"
	"github.com/asyncpb/async/examples/connect/internal/shop"
	"github.com/asyncpb/async/examples/internal/console"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

func main() {
	address := flag.String("listen", "127.0.0.1:8080", "`address` of the HTTP server")
	config := flag.String("config", "examples/connect/async.yaml", "configuration `file`")
	flag.Parse()
	// The first signal ends both servers, which let their handlers finish.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *address, *config, os.Stdout, func(string) {})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "connect:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It calls ready with the URL when both wires are served.
func run(ctx context.Context, address, config string, out io.Writer, ready func(url string)) (err error) {
	rt, err := async.Open(ctx, async.WithConfigFile(config))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()

	say := console.New(out, 8, 5)
	server := connect.NewServer()
	checkoutv1connect.RegisterOrdersHandler(server, shop.NewHandler(say))

	// One wire.
	mux := http.NewServeMux()
	asyncconnect.Mount(rt, mux, server)
	// The other.
	if err := asyncconnect.Serve(rt, server); err != nil {
		return err
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 8 * time.Second, Protocols: new(http.Protocols)}
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetUnencryptedHTTP2(true) // gRPC without TLS, for a machine of one's own
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	go func() {
		<-rt.Ready()
		ready("http://" + listener.Addr().String())
		say.Note("serving shop.checkout.v1.Orders on http://%s and on %s", listener.Addr(), rt.Health(ctx).Transports[0].System)
	}()

	err = rt.Run(ctx)
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(err, web.Shutdown(shutdown))
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
