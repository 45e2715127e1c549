// Package stranger is a program that takes part in the conversation without this project's code: it was written from
// docs/wire.md, with a plain AMQP client and the protobuf messages. The acceptance tests let it talk to generated
// stubs; a test holds that it imports none of our runtime.
package stranger

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Stranger is one connection to the broker with one channel in confirm mode. It is for one goroutine at a time.
type Stranger struct {
	conn    *amqp.Connection
	channel *amqp.Channel
	name    string
	returns chan amqp.Return
}

// Open connects to the broker. name is the CloudEvents source of what the stranger sends. Close it when it is no longer
// needed.
func Open(url, name string) (*Stranger, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("stranger: connect: %w", err)
	}
	channel, err := conn.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("stranger: open a channel: %w", err)
	}
	// The client library hands a return over before the confirm that follows it, and waits when nobody has room.
	returns := channel.NotifyReturn(make(chan amqp.Return, 16))
	return &Stranger{conn: conn, channel: channel, name: name, returns: returns}, nil
}

// Close ends the connection. What was consumed and not acknowledged goes back to its queue.
func (s *Stranger) Close() error { return s.conn.Close() }

// Consume starts to consume a queue with manual acknowledgement; see section 6, "Receiving". The channel is closed with
// the connection.
func (s *Stranger) Consume(queue string) (<-chan amqp.Delivery, error) {
	if err := s.channel.Qos(16, 0, false); err != nil {
		return nil, fmt.Errorf("stranger: consume %q: %w", queue, err)
	}
	deliveries, err := s.channel.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("stranger: consume %q: %w", queue, err)
	}
	return deliveries, nil
}

// confirm waits for the broker's answer to one publication; the error of one that no queue took is [ErrReturned].
func (s *Stranger) confirm(ctx context.Context, exchange, key string, p amqp.Publishing) error {
	confirmation, err := s.channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, p)
	if err != nil {
		return fmt.Errorf("stranger: publish to %q with %q: %w", exchange, key, err)
	}
	acked, err := confirmation.WaitContext(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("stranger: publish to %q with %q: %w", exchange, key, err)
	case !acked:
		return fmt.Errorf("stranger: publish to %q with %q: the broker refused the message", exchange, key)
	}
	select {
	case r := <-s.returns:
		return fmt.Errorf("stranger: publish to %q with %q: %w: %s", exchange, key, ErrReturned, r.ReplyText)
	default:
		return nil
	}
}
