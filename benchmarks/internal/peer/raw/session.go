// Package raw is amqp091-go alone, in its best form: bytes without headers, straight to the queue, deferred confirms in a
// window, one acknowledgement for many messages. What the others reach is measured by it.
package raw

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

const (
	// window is how many messages wait for their confirm at once.
	window = 256
	// prefetch is how many deliveries wait for their acknowledgement, of which one is sent for each stride.
	prefetch = 256
	stride   = 64
)

// New returns the peer.
func New(b *broker.Broker) peer.Peer {
	return peer.Peer{
		Name: fmt.Sprintf("amqp091-go, bytes, 1 channel, window %d, prefetch %d, 1 ack for %d", window, prefetch, stride),
		Open: func(_ context.Context, l load.Load) (peer.Session, error) { return open(b, l) },
	}
}

type session struct {
	load      load.Load
	queue     string
	exchanges []string
	form      form
	out       *amqp.Connection
	in        *amqp.Connection
	sends     *amqp.Channel
	receives  *amqp.Channel

	handle    load.HandleFunc
	consuming sync.WaitGroup
	stop      func() error
	failed    error
}

func open(b *broker.Broker, l load.Load) (*session, error) {
	queue, err := b.Declare(l.Queue)
	if err != nil {
		return nil, err
	}
	s := &session{load: l, queue: queue, form: bare(queue)}
	if s.out, err = b.Dial(); err != nil {
		return nil, err
	}
	if s.in, err = b.Dial(); err != nil {
		return nil, err
	}
	if s.sends, err = s.out.Channel(); err != nil {
		return nil, err
	}
	if l.Mode == load.NoConfirm {
		return s, nil
	}
	return s, s.sends.Confirm(false)
}

// Send sends from one goroutine: in the mode Sync it waits for each confirm, else only when the window is full. In the mode
// NoConfirm it waits until the broker has read everything.
func (s *session) Send(ctx context.Context, src *load.Source) error {
	body := load.Payload(s.load.Bytes, 0, 0)
	width := window
	if s.load.Mode == load.Sync {
		width = 1
	}
	var open [window]*amqp.DeferredConfirmation
	defer src.Stop()
	for i := 0; ; i++ {
		number, intended, ok := src.Next()
		if !ok {
			break
		}
		load.Stamp(body, number, intended)
		message := s.form.properties
		message.Body = body
		c, err := s.sends.PublishWithDeferredConfirm(s.form.exchange, s.form.key, s.form.mandatory, false, message)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if c == nil {
			continue
		}
		open[i%width] = c
		if err := confirmed(ctx, open[(i+1)%width]); err != nil {
			return err
		}
	}
	if s.load.Mode == load.NoConfirm {
		// The broker answers a channel in order: with this answer it has taken the messages. Without it, what is counted
		// is how much the buffers on the way hold.
		return s.sends.Qos(1, 0, false)
	}
	for i := range open {
		if err := confirmed(ctx, open[i]); err != nil {
			return err
		}
	}
	return nil
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

func (s *session) Fill(ctx context.Context, src *load.Source) error { return s.Send(ctx, src) }

// Receive handles in one goroutine: there is nothing to gain from more of them where a handler does not wait.
func (s *session) Receive(_ context.Context, h load.HandleFunc) error {
	s.handle = h
	return s.Resume()
}

// Resume consumes on a channel of its own.
func (s *session) Resume() error {
	ch, err := s.in.Channel()
	if err != nil {
		return err
	}
	return s.consume(ch, func(d *amqp.Delivery) error {
		number, intended, err := load.Parse(d.Body)
		if err == nil {
			s.handle(number, intended)
		}
		return err
	})
}

// Pause ends consuming and handles what has come.
func (s *session) Pause() error {
	err := s.stop()
	s.consuming.Wait()
	return errors.Join(err, s.failed, s.receives.Close())
}

// consume has handle called for each delivery of the queue, in one goroutine that Close ends, and acknowledges a stride at a
// time.
func (s *session) consume(ch *amqp.Channel, handle func(*amqp.Delivery) error) error {
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return err
	}
	const tag = "raw"
	deliveries, err := ch.Consume(s.queue, tag, false, false, false, false, nil)
	if err != nil {
		return err
	}
	s.receives = ch
	s.stop = func() error { return ch.Cancel(tag, false) }
	s.consuming.Go(func() { s.failed = handleAll(deliveries, handle) })
	return nil
}

func handleAll(deliveries <-chan amqp.Delivery, handle func(*amqp.Delivery) error) error {
	var last amqp.Delivery
	open := 0
	for d := range deliveries {
		if err := handle(&d); err != nil {
			return err
		}
		last = d
		if open++; open == stride {
			open = 0
			if err := d.Ack(true); err != nil {
				return fmt.Errorf("ack: %w", err)
			}
		}
	}
	if open > 0 {
		return last.Ack(true)
	}
	return nil
}

func (s *session) Close(context.Context) error {
	var err error
	if s.stop != nil {
		err = s.Pause()
	}
	return errors.Join(err, s.in.Close(), s.out.Close())
}

func (s *session) Topology() peer.Topology {
	return peer.Topology{Queues: []string{s.queue}, Exchanges: s.exchanges}
}

func (s *session) Parse(payload []byte) (number int, intended int64, err error) {
	return load.Parse(payload)
}
