package raw

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// replyTo is RabbitMQ's direct reply-to: a reply goes from channel to channel, past every queue.
const replyTo = "amq.rabbitmq.reply-to"

// NewDesk returns the peer that answers requests: bytes, direct reply-to, transient messages without headers or confirms,
// one channel for all callers.
func NewDesk(b *broker.Broker) peer.Peer {
	return peer.Peer{
		Name: fmt.Sprintf("amqp091-go, bytes, direct reply-to, 1 channel, no confirm, prefetch %d, 1 ack for %d", prefetch, stride),
		Open: func(_ context.Context, l load.Load) (peer.Session, error) {
			// The session confirms nothing, as it does in this mode.
			bare := l
			bare.Mode = load.NoConfirm
			s, err := open(b, bare)
			if err != nil {
				return nil, err
			}
			return &deskSession{session: s, load: l, calls: make(map[string]chan []byte)}, nil
		},
	}
}

type deskSession struct {
	*session
	load load.Load
	mark load.HandleFunc

	mu    sync.Mutex
	calls map[string]chan []byte
}

// Receive begins to answer, and to take the answers.
func (s *deskSession) Receive(_ context.Context, mark load.HandleFunc) error {
	s.mark = mark
	server, err := s.in.Channel()
	if err != nil {
		return err
	}
	err = s.consume(server, func(d *amqp.Delivery) error {
		return server.PublishWithContext(context.Background(), "", d.ReplyTo, false, false, amqp.Publishing{CorrelationId: d.CorrelationId, Body: d.Body})
	})
	if err != nil {
		return err
	}
	replies, err := s.sends.Consume(replyTo, "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	go func() {
		for d := range replies {
			s.mu.Lock()
			call := s.calls[d.CorrelationId]
			delete(s.calls, d.CorrelationId)
			s.mu.Unlock()
			if call != nil {
				call <- d.Body
			}
		}
	}()
	return nil
}

func (s *deskSession) Send(ctx context.Context, src *load.Source) error {
	return peer.Ask(ctx, s.load.Callers, src, s.mark, s.ask)
}

func (s *deskSession) ask(ctx context.Context, number int) (int, error) {
	id, reply := strconv.Itoa(number), make(chan []byte, 1)
	s.mu.Lock()
	s.calls[id] = reply
	s.mu.Unlock()
	err := s.sends.PublishWithContext(ctx, "", s.queue, false, false, amqp.Publishing{
		CorrelationId: id, ReplyTo: replyTo, Body: load.Payload(s.load.Bytes, number, 0),
	})
	if err != nil {
		return 0, fmt.Errorf("request: %w", err)
	}
	select {
	case body := <-reply:
		got, _, err := load.Parse(body)
		return got, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (s *deskSession) Fill(ctx context.Context, src *load.Source) error { return s.Send(ctx, src) }
