package watermill

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	benchv1 "github.com/asyncpb/async/benchmarks/gen/bench/v1"
	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// Default returns watermill-amqp as its own constructor of a durable queue configures it: it does not wait for confirms.
func Default(b *broker.Broker) peer.Peer {
	return newPeer("watermill-amqp and Router as they come (no confirm, no pool, prefetch 1), protobuf", b, setup{subscriptions: 1})
}

// Best returns watermill-amqp with confirms and its settings at their best.
func Best(b *broker.Broker) peer.Peer {
	name := fmt.Sprintf("watermill-amqp and Router at their best (confirm, pool %d, prefetch %d), protobuf", tunedPool, tunedPrefetch)
	return newPeer(name, b, setup{confirm: true, pool: tunedPool, prefetch: tunedPrefetch, subscriptions: 1})
}

// Many returns [Best] with so many handlers on the queue, which Watermill's documentation does not suggest and an expert
// tries.
func Many(b *broker.Broker, subscriptions int) peer.Peer {
	name := fmt.Sprintf("watermill-amqp and Router with %d subscriptions of one queue (confirm, pool %d, prefetch 8 each), protobuf", subscriptions, tunedPool)
	return newPeer(name, b, setup{confirm: true, pool: tunedPool, prefetch: 8, subscriptions: subscriptions})
}

func newPeer(name string, b *broker.Broker, c setup) peer.Peer {
	return peer.Peer{
		Name: name,
		Open: func(_ context.Context, l load.Load) (peer.Session, error) { return open(b, c, l) },
	}
}

type session struct {
	broker    *broker.Broker
	setup     setup
	load      load.Load
	config    wamqp.Config
	queue     string
	body      []byte
	marshaler cqrs.ProtoMarshaler
	tracing   *tracing
	publisher *wamqp.Publisher

	subscriber *wamqp.Subscriber
	router     *message.Router
	ran        chan error
}

func open(b *broker.Broker, c setup, l load.Load) (*session, error) {
	queue, err := b.Declare(l.Queue)
	if err != nil {
		return nil, err
	}
	s := &session{
		broker: b, setup: c, load: l, config: c.config(b.URL(), l), queue: queue,
		body: load.Body(l.Bytes), tracing: newTracing(l.Telemetry, queue),
	}
	s.publisher, err = wamqp.NewPublisher(s.config, watermill.NopLogger{})
	return s, err
}

func (s *session) Send(ctx context.Context, src *load.Source) error {
	return peer.Callers(ctx, s.load.Callers, src, func(ctx context.Context, number int, intended int64) error {
		msg, err := s.marshaler.Marshal(load.NewSample(number, intended, s.body))
		if err != nil {
			return err
		}
		return s.tracing.send(ctx, msg, func() error { return s.publisher.Publish(s.queue, msg) })
	})
}

// Fill writes what watermill-amqp's marshaler makes of the messages through amqp091-go: its publisher would take minutes.
func (s *session) Fill(ctx context.Context, src *load.Source) error {
	conn, err := s.broker.Dial()
	if err != nil {
		return err
	}
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	const window = 256
	var open [window]*amqp.DeferredConfirmation
	for i := 0; ; i++ {
		number, intended, ok := src.Next()
		if !ok {
			break
		}
		if err := confirmed(ctx, open[i%window]); err != nil {
			return err
		}
		if open[i%window], err = s.write(ctx, ch, number, intended); err != nil {
			return err
		}
	}
	for i := range open {
		if err := confirmed(ctx, open[i]); err != nil {
			return err
		}
	}
	return conn.Close()
}

func (s *session) write(ctx context.Context, ch *amqp.Channel, number int, intended int64) (c *amqp.DeferredConfirmation, err error) {
	msg, err := s.marshaler.Marshal(load.NewSample(number, intended, s.body))
	if err != nil {
		return nil, err
	}
	err = s.tracing.send(ctx, msg, func() error {
		p, err := s.config.Marshaler.Marshal(msg)
		if err != nil {
			return err
		}
		c, err = ch.PublishWithDeferredConfirm("", s.queue, false, false, p)
		return err
	})
	return c, err
}

func confirmed(ctx context.Context, c *amqp.DeferredConfirmation) error {
	if c == nil {
		return nil
	}
	ok, err := c.WaitContext(ctx)
	if err == nil && !ok {
		err = errors.New("the broker refused a message")
	}
	return err
}

func (s *session) Receive(ctx context.Context, h load.HandleFunc) error {
	var err error
	if s.subscriber, err = wamqp.NewSubscriber(s.config, watermill.NopLogger{}); err != nil {
		return err
	}
	if s.router, err = message.NewRouter(message.RouterConfig{}, watermill.NopLogger{}); err != nil {
		return err
	}
	for i := range s.setup.subscriptions {
		s.router.AddConsumerHandler("handler "+strconv.Itoa(i), s.queue, s.subscriber, func(msg *message.Message) error {
			return s.tracing.process(msg, func() error {
				m := new(benchv1.Sample)
				if err := s.marshaler.Unmarshal(msg, m); err != nil {
					return err
				}
				h(load.ReadSample(m))
				return nil
			})
		})
	}
	s.ran = make(chan error, 1)
	go func() { s.ran <- s.router.Run(ctx) }()
	select {
	case <-s.router.Running():
		return nil
	case err := <-s.ran:
		s.ran <- err
		return err
	}
}

func (s *session) Close(context.Context) error {
	var errs []error
	if s.router != nil {
		errs = append(errs, s.router.Close(), <-s.ran, s.subscriber.Close())
	}
	return errors.Join(append(errs, s.publisher.Close())...)
}

func (s *session) Topology() peer.Topology { return peer.Topology{Queues: []string{s.queue}} }

func (s *session) Parse(payload []byte) (number int, intended int64, err error) {
	return load.ParseSample(payload)
}
