package amqptransport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// watermillGroup names the one group that a queue of watermill-amqp's configuration has. It shows in no name on the broker.
const watermillGroup = "watermill"

// Publisher is a publisher in place of watermill-amqp's. It implements [message.Publisher].
type Publisher struct {
	transport *Transport
	publisher message.Publisher
}

// NewPublisher makes a publisher out of watermill-amqp's configuration, in place of amqp.NewPublisher: exchanges, routing
// keys, marshaler and logger stay what they are, so that it can run beside publishers and subscribers of watermill-amqp.
//
// What changes: every message is confirmed by the broker before Publish returns, whatever Publish.ConfirmDelivery says;
// messages of concurrent calls share channels, which makes Publish.ChannelPoolSize meaningless; a call ends with the
// context of its messages, or after 30 s; and Publish.Mandatory is obeyed, with [transport.ErrUnroutable]. What cannot be
// honoured is refused: [WithConfig] lists it.
//
// Connection.AmqpURI may have the options of RabbitMQ's URIs: heartbeat (seconds; 0 for this package's 10), connection_timeout
// (milliseconds), channel_max, auth_mechanism, cacertfile, certfile, keyfile and server_name_indication; and those of this package.
// Plain text, and a TLS configuration that checks nobody, go wherever they went before, as if [transport.Config].Insecure were true:
// write amqps.
//
// NewPublisher connects, within 30 s. The publisher may be used from many goroutines at once. Close closes its connections.
func NewPublisher(config wamqp.Config, logger watermill.LoggerAdapter) (*Publisher, error) {
	t, err := openWatermill(config, logger)
	if err != nil {
		return nil, err
	}
	return &Publisher{transport: t, publisher: t.Publisher()}, nil
}

// Publish publishes messages in their order, and returns when the broker has stored them all.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	return p.publisher.Publish(topic, messages...)
}

// Close waits for the confirms of what was written, and ends the connections. It is idempotent.
func (p *Publisher) Close() error {
	return errors.Join(p.publisher.Close(), p.transport.closeWithin(closeGrace+closeTimeout))
}

// Subscriber is a subscriber in place of watermill-amqp's. It implements [message.Subscriber] and
// [message.SubscribeInitializer].
type Subscriber struct {
	transport  *Transport
	subscriber message.Subscriber
}

var _ message.SubscribeInitializer = (*Subscriber)(nil)

// NewSubscriber makes a subscriber out of watermill-amqp's configuration, in place of amqp.NewSubscriber: queues, their
// arguments and bindings, marshaler and logger stay what they are, so that it can share a queue with subscribers of
// watermill-amqp.
//
// What changes: up to Consume.Qos.PrefetchCount messages are out at once, instead of one whatever the prefetch, so that a
// Router handles as many at a time; a message's context ends when its delivery is lost; and no content is refused, however
// strange its headers. With a prefetch of 1, the default, messages come one after the other as before. What cannot be
// honoured is refused: [WithConfig] lists it.
//
// NewSubscriber connects, within 30 s. The subscriber may be used from many goroutines at once. Close ends every
// subscription, and its connections.
func NewSubscriber(config wamqp.Config, logger watermill.LoggerAdapter) (*Subscriber, error) {
	t, err := openWatermill(config, logger)
	if err != nil {
		return nil, err
	}
	subscriber, err := t.Subscriber(transport.Subscription{
		Group: watermillGroup, Kind: transport.KindEvent, Concurrency: max(1, config.Consume.Qos.PrefetchCount),
	})
	if err != nil {
		return nil, errors.Join(err, t.closeWithin(closeTimeout))
	}
	return &Subscriber{transport: t, subscriber: subscriber}, nil
}

// Subscribe consumes the queue of topic until ctx ends or the subscriber is closed.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return s.subscriber.Subscribe(ctx, topic)
}

// SubscribeInitialize declares the queue of topic, so that it collects messages before the first Subscribe.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	return s.transport.Declare(ctx, transport.Subscription{Topic: topic, Group: watermillGroup, Kind: transport.KindEvent, Concurrency: 1})
}

// Close gives back what is not settled, and ends the connections. It is idempotent.
func (s *Subscriber) Close() error {
	return errors.Join(s.subscriber.Close(), s.transport.closeWithin(closeGrace+closeTimeout))
}

func (t *Transport) closeWithin(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return t.Close(ctx)
}

// watermillOption takes a whole configuration over, with nothing of this transport's own beside it: no ladder, no queue of
// dead letters, no arguments of queues.
type watermillOption wamqp.Config

func (o watermillOption) apply(s *settings) {
	s.plain = true
	s.configure = append(s.configure, func(c *wamqp.Config) {
		*c = wamqp.Config(o)
		c.Connection.AmqpURI = ""
		c.Publish.ConfirmDelivery = true
		c.Publish.ChannelPoolSize = 0
		if own, is := c.Marshaler.(wamqp.DefaultMarshaler); is && ordinary(own) {
			c.Marshaler = Marshaler{}
		}
	})
}

// ordinary reports whether nothing of m was changed. [Marshaler] says the same then, and more beside it.
func ordinary(m wamqp.DefaultMarshaler) bool {
	return m.PreprocessDelivery == nil && m.PostprocessPublishing == nil && !m.NotPersistentDeliveryMode &&
		(m.MessageUUIDHeaderKey == "" || m.MessageUUIDHeaderKey == transport.MetaWatermillUUID)
}

func openWatermill(config wamqp.Config, logger watermill.LoggerAdapter) (*Transport, error) {
	c, err := readURI(&config)
	if err != nil {
		return nil, fmt.Errorf("Connection.AmqpURI: %w", err)
	}
	// The program did so before.
	c.Insecure = true
	c.Logger = slog.New(slog.DiscardHandler)
	if logger != nil {
		c.Logger = slog.New(&logHandler{logger: logger})
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	return Open(ctx, c, watermillOption(config))
}

// logHandler writes to a logger of Watermill's.
type logHandler struct{ logger watermill.LoggerAdapter }

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	fields := make(watermill.LogFields, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		fields[a.Key] = a.Value.Any()
		return true
	})
	switch {
	case r.Level >= slog.LevelWarn:
		err, _ := fields["error"].(error)
		h.logger.Error(r.Message, err, fields)
	case r.Level >= slog.LevelInfo:
		h.logger.Info(r.Message, fields)
	default:
		h.logger.Debug(r.Message, fields)
	}
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := make(watermill.LogFields, len(attrs))
	for _, a := range attrs {
		fields[a.Key] = a.Value.Any()
	}
	return &logHandler{h.logger.With(fields)}
}

// WithGroup keeps the names as they are: the transport logs in no groups.
func (h *logHandler) WithGroup(string) slog.Handler { return h }
