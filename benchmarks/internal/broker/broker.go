// Package broker is RabbitMQ as the benchmarks look after it: new queues for each run, what is in them afterwards, and
// none of them left.
package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// Broker is a connection to RabbitMQ. Names are given to any goroutine, everything else to one at a time.
type Broker struct {
	url    string
	conn   *amqp.Connection
	prefix string
	count  atomic.Int64
}

// Open connects.
func Open(url string) (*Broker, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w; set ASYNC_TEST_AMQP_URL to the URL of one", err)
	}
	return &Broker{url: url, conn: conn, prefix: fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().Unix())}, nil
}

// URL is where the broker is.
func (b *Broker) URL() string { return b.url }

// Version is what the broker says about itself.
func (b *Broker) Version() string {
	product, _ := b.conn.Properties["product"].(string)
	version, _ := b.conn.Properties["version"].(string)
	return product + " " + version
}

// Dial opens another connection.
func (b *Broker) Dial() (*amqp.Connection, error) { return amqp.Dial(b.url) }

// Name returns a name that nothing else has.
func (b *Broker) Name() string { return fmt.Sprintf("%s-%d", b.prefix, b.count.Add(1)) }

// Arguments are those of a queue of the given type.
func Arguments(queueType string) amqp.Table { return amqp.Table{"x-queue-type": queueType} }

// Declare makes a durable queue.
func (b *Broker) Declare(queueType string) (string, error) {
	name := b.Name()
	err := b.with(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, Arguments(queueType))
		return err
	})
	return name, err
}

// Drain takes everything out of a queue and tells the tally.
func (b *Broker) Drain(ctx context.Context, queue string, parse func([]byte) (int, int64, error), t *load.Tally) error {
	return b.with(func(ch *amqp.Channel) error {
		arrived := make(chan struct{})
		total, _, _ := t.Counts()
		done := t.Watch(total, func() { close(arrived) })
		deliveries, err := ch.Consume(queue, "", true, true, false, false, nil)
		if err != nil {
			return fmt.Errorf("look into queue %s: %w", queue, err)
		}
		patience := time.NewTimer(20 * time.Second)
		defer patience.Stop()
		for {
			select {
			case d, ok := <-deliveries:
				if !ok {
					return fmt.Errorf("the broker stopped handing out of queue %s", queue)
				}
				number, intended, err := parse(d.Body)
				if err != nil {
					return fmt.Errorf("queue %s holds a message that is none of this run: %w", queue, err)
				}
				t.Mark(number, intended)
			case <-done:
				// A duplicate would come after the rest; what is there already is counted.
				return b.rest(deliveries, parse, t)
			case <-patience.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

// rest counts what follows when everything that was expected is there.
func (b *Broker) rest(deliveries <-chan amqp.Delivery, parse func([]byte) (int, int64, error), t *load.Tally) error {
	quiet := time.NewTimer(50 * time.Millisecond)
	defer quiet.Stop()
	for {
		select {
		case d := <-deliveries:
			number, intended, err := parse(d.Body)
			if err != nil {
				return err
			}
			t.Mark(number, intended)
		case <-quiet.C:
			return nil
		}
	}
}

// Left returns how many messages a queue still has. It waits a while for the last acknowledgements.
func (b *Broker) Left(ctx context.Context, queue string) (left int, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(500 * time.Millisecond)
	for {
		err = b.with(func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			left = q.Messages
			return err
		})
		if err != nil || left == 0 || time.Now().After(end) {
			return left, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
}

// Remove deletes what a session declared.
func (b *Broker) Remove(t peer.Topology) error {
	return b.with(func(ch *amqp.Channel) error {
		var errs []error
		for _, queue := range t.Queues {
			_, err := ch.QueueDelete(queue, false, false, false)
			errs = append(errs, err)
		}
		for _, exchange := range t.Exchanges {
			errs = append(errs, ch.ExchangeDelete(exchange, false, false))
		}
		return errors.Join(errs...)
	})
}

// Close disconnects.
func (b *Broker) Close() error { return b.conn.Close() }

func (b *Broker) with(f func(*amqp.Channel) error) error {
	ch, err := b.conn.Channel()
	if err != nil {
		return err
	}
	if err := f(ch); err != nil {
		// An error of the broker has closed the channel already.
		_ = ch.Close()
		return err
	}
	return ch.Close()
}
