package raw

import (
	"context"
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// form is how a message is addressed and what it carries besides its body.
type form struct {
	exchange, key string
	mandatory     bool
	properties    amqp.Publishing
}

// bare is the cheapest form: nothing but a body, straight to the queue.
func bare(queue string) form {
	return form{key: queue, properties: amqp.Publishing{DeliveryMode: amqp.Persistent}}
}

// NewFormed returns the same peer sending messages of the form that docs/wire.md asks for: through a topic exchange, with
// properties and headers, and told when nobody takes one. What it reaches is what the broker and the library leave to a
// sender of such messages; the headers are made once and never change.
func NewFormed(b *broker.Broker) peer.Peer {
	return peer.Peer{
		Name: fmt.Sprintf("amqp091-go, bytes in the form of our messages, 1 channel, window %d", window),
		Open: func(_ context.Context, l load.Load) (peer.Session, error) {
			s, err := open(b, l)
			if err != nil {
				return nil, err
			}
			return s, s.dress(b.Name())
		},
	}
}

// dress declares the exchange and takes the form of a command as the runtime sends it.
func (s *session) dress(exchange string) error {
	const contents, application = "bench.v1.Sample", "bench"
	if err := s.sends.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	s.exchanges = append(s.exchanges, exchange)
	if err := s.sends.QueueBind(s.queue, "#", exchange, false, nil); err != nil {
		return err
	}
	const id = "019abc3e-7d54-7c2a-9f0e-5b6f1d2c3a4b"
	now := time.Now()
	nanoseconds := strconv.FormatInt(now.UnixNano(), 10)
	s.form = form{
		exchange: exchange, key: contents, mandatory: true,
		properties: amqp.Publishing{
			DeliveryMode: amqp.Persistent, MessageId: id, Type: contents, ContentType: "application/protobuf", Timestamp: now,
			Headers: amqp.Table{
				"ce-id": id, "ce-source": application, "ce-type": contents, "ce-specversion": "1.0",
				"ce-time": now.UTC().Format(time.RFC3339Nano), "ce-datacontenttype": "application/protobuf",
				"async-created-at": nanoseconds, "async-sent-at": nanoseconds, "_watermill_message_uuid": id,
			},
		},
	}
	return nil
}
