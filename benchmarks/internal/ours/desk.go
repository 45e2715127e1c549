package ours

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"

	benchv1 "github.com/asyncpb/async/benchmarks/gen/bench/v1"
	"github.com/asyncpb/async/benchmarks/gen/bench/v1/benchv1async"
	"github.com/asyncpb/async/benchmarks/gen/bench/v1/benchv1connect"
	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
	"github.com/asyncpb/async/runtime/transport"
)

// Answer is the handler of every desk.
func Answer() benchv1connect.DeskHandler { return desk{} }

type desk struct{}

func (desk) Ask(_ context.Context, m *benchv1.Sample) (*benchv1.Sample, error) { return m, nil }

// NewDesk returns the peer that answers requests over RabbitMQ: Connect's generated client and handler, each on a runtime
// of its own.
func NewDesk(b *broker.Broker) peer.Peer {
	return peer.Peer{
		Name: "Connect's generated client and handler over the broker",
		Open: func(ctx context.Context, l load.Load) (peer.Session, error) { return openDesk(ctx, b, l) },
	}
}

type deskSession struct {
	load      load.Load
	namespace string
	server    session
	caller    *async.Runtime
	client    benchv1connect.DeskClient
	mark      load.HandleFunc
}

func openDesk(ctx context.Context, b *broker.Broker, l load.Load) (*deskSession, error) {
	s := &deskSession{load: l, namespace: b.Name()}
	opts := []async.Option{async.WithURL(queueURL(b, l)), async.WithNamespace(s.namespace)}
	var err error
	if s.server.rt, err = async.Open(ctx, append(opts, async.WithApp("desk"))...); err != nil {
		return nil, err
	}
	if s.caller, err = async.Open(ctx, append(opts, async.WithApp("caller"))...); err != nil {
		return nil, errors.Join(err, s.server.rt.Close())
	}
	s.client = benchv1connect.NewDeskClient(connect.NewClient(asyncconnect.NewTransport(s.caller)))
	return s, nil
}

// Receive begins to answer. What is marked is the replies.
func (s *deskSession) Receive(ctx context.Context, mark load.HandleFunc) error {
	s.mark = mark
	server := connect.NewServer()
	benchv1connect.RegisterDeskHandler(server, desk{})
	if err := asyncconnect.Serve(s.server.rt, server); err != nil {
		return err
	}
	return s.server.run(ctx)
}

func (s *deskSession) Send(ctx context.Context, src *load.Source) error {
	return peer.Ask(ctx, s.load.Callers, src, s.mark, Asking(s.client, s.load.Bytes))
}

// Asking makes calls of a client, with payloads of the given size.
func Asking(client benchv1connect.DeskClient, size int) func(context.Context, int) (int, error) {
	body := load.Body(size)
	return func(ctx context.Context, number int) (int, error) {
		answer, err := client.Ask(ctx, load.NewSample(number, 0, body))
		if err != nil {
			return 0, err
		}
		got, _ := load.ReadSample(answer)
		return got, nil
	}
}

func (s *deskSession) Fill(ctx context.Context, src *load.Source) error { return s.Send(ctx, src) }

func (s *deskSession) Close(ctx context.Context) error {
	return errors.Join(s.caller.Close(), s.server.Close(ctx))
}

func (s *deskSession) Topology() peer.Topology {
	topic := s.namespace + "." + benchv1async.DeskAskTopic
	return peer.Topology{
		Queues:    []string{transport.QueueName(topic, benchv1async.DeskName), transport.DeadName(topic, benchv1async.DeskName)},
		Exchanges: []string{topic},
	}
}

func (s *deskSession) Parse(payload []byte) (number int, intended int64, err error) {
	return load.ParseSample(payload)
}
