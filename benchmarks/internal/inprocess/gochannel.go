package inprocess

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	benchv1 "github.com/asyncpb/async/benchmarks/gen/bench/v1"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

const topic = "orders"

// Gochannel returns Watermill's gochannel with its Router as they come.
func Gochannel() peer.Peer {
	return newGochannel("Watermill gochannel and Router as they come, protobuf", gochannel.Config{})
}

// BlockingGochannel returns Watermill's gochannel whose publisher waits for the handler, which spares it a crowd of
// goroutines.
func BlockingGochannel() peer.Peer {
	return newGochannel("Watermill gochannel, publisher waits for the ack, and Router, protobuf", gochannel.Config{BlockPublishUntilSubscriberAck: true})
}

func newGochannel(name string, c gochannel.Config) peer.Peer {
	return peer.Peer{Name: name, Open: func(context.Context, load.Load) (peer.Session, error) {
		router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
		return &gochannelSession{pubsub: gochannel.NewGoChannel(c, watermill.NopLogger{}), router: router}, err
	}}
}

type gochannelSession struct {
	marshaler cqrs.ProtoMarshaler
	pubsub    *gochannel.GoChannel
	router    *message.Router
	ran       chan error
}

func (g *gochannelSession) Send(ctx context.Context, s *load.Source) error {
	order := load.NewOrder()
	return peer.Callers(ctx, 1, s, func(_ context.Context, number int, _ int64) error {
		msg, err := g.marshaler.Marshal(load.NumberOrder(order, number))
		if err != nil {
			return err
		}
		return g.pubsub.Publish(topic, msg)
	})
}

func (g *gochannelSession) Receive(ctx context.Context, h load.HandleFunc) error {
	g.router.AddConsumerHandler("orders", topic, g.pubsub, func(msg *message.Message) error {
		o := new(benchv1.Order)
		if err := g.marshaler.Unmarshal(msg, o); err != nil {
			return err
		}
		h(load.ReadOrder(o))
		return nil
	})
	g.ran = make(chan error, 1)
	go func() { g.ran <- g.router.Run(ctx) }()
	select {
	case <-g.router.Running():
		return nil
	case err := <-g.ran:
		g.ran <- err
		return err
	}
}

func (g *gochannelSession) Close(context.Context) error {
	return errors.Join(g.router.Close(), <-g.ran, g.pubsub.Close())
}
