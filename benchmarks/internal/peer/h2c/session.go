// Package h2c is Connect's generated client and handler over HTTP/2 without TLS, on the loopback: the same calls without a
// broker.
package h2c

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/asyncpb/async/benchmarks/gen/bench/v1/benchv1connect"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/ours"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// New returns the peer.
func New() peer.Peer {
	return peer.Peer{
		Name: "Connect's generated client and handler over HTTP/2 (h2c)",
		Open: func(_ context.Context, l load.Load) (peer.Session, error) { return open(l) },
	}
}

type session struct {
	load      load.Load
	server    *http.Server
	served    chan error
	transport *http.Transport
	client    benchv1connect.DeskClient
	mark      load.HandleFunc
}

func open(l load.Load) (*session, error) {
	desk := connect.NewServer()
	benchv1connect.RegisterDeskHandler(desk, ours.Answer())
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	mux := http.NewServeMux()
	connecthttp.Mount(mux, desk)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &session{
		load: l, served: make(chan error, 1),
		server:    &http.Server{Handler: mux, Protocols: protocols, ReadHeaderTimeout: time.Minute},
		transport: &http.Transport{Protocols: protocols},
	}
	go func() { s.served <- s.server.Serve(listener) }()
	s.client = benchv1connect.NewDeskClient(connect.NewClient(
		connecthttp.NewTransport(&http.Client{Transport: s.transport}, "http://"+listener.Addr().String())))
	return s, nil
}

func (s *session) Receive(_ context.Context, mark load.HandleFunc) error {
	s.mark = mark
	return nil
}

func (s *session) Send(ctx context.Context, src *load.Source) error {
	return peer.Ask(ctx, s.load.Callers, src, s.mark, ours.Asking(s.client, s.load.Bytes))
}

func (s *session) Close(ctx context.Context) error {
	s.transport.CloseIdleConnections()
	err := s.server.Shutdown(ctx)
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
