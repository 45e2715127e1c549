package raw

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
			s, err := openDesk(b, bare)
			if err != nil {
				return nil, err
			}
			s.form = form{key: s.queue, properties: amqp.Publishing{ReplyTo: replyTo}}
			return s, nil
		},
	}
}

// NewFormedDesk returns the same peer in the form that docs/wire.md asks for: requests through a topic exchange, replies
// through a queue that outlives a connection, both stored and confirmed, with properties and headers. What it reaches is what the
// broker and the library leave to requests of that form.
func NewFormedDesk(b *broker.Broker) peer.Peer {
	return peer.Peer{
		Name: fmt.Sprintf("amqp091-go, bytes, requests and replies in our form, prefetch %d, 1 ack for %d", prefetch, stride),
		Open: func(_ context.Context, l load.Load) (peer.Session, error) {
			s, err := openDesk(b, l)
			if err != nil {
				return nil, err
			}
			return s, s.dress(b)
		},
	}
}

// deskSession answers requests and makes them.
type deskSession struct {
	*session
	load load.Load
	mark load.HandleFunc

	answer  amqp.Publishing // what a reply carries besides its body
	stored  bool            // replies are, in a queue of theirs, and are confirmed
	replies string          // that queue

	mu    sync.Mutex
	calls map[string]chan []byte

	listening sync.WaitGroup
	hangUp    func() error
	unheard   error
}

func openDesk(b *broker.Broker, l load.Load) (*deskSession, error) {
	s, err := open(b, l)
	if err != nil {
		return nil, err
	}
	return &deskSession{session: s, load: l, calls: make(map[string]chan []byte)}, nil
}

// dress gives requests and replies our form.
func (s *deskSession) dress(b *broker.Broker) error {
	if err := s.session.dress(b.Name()); err != nil {
		return err
	}
	const expiry = 60_000 // milliseconds
	s.stored, s.replies = true, b.Name()
	if _, err := s.sends.QueueDeclare(s.replies, true, false, false, false, amqp.Table{"x-expires": int32(expiry)}); err != nil {
		return err
	}
	s.answer = s.form.properties
	s.answer.Headers = maps.Clone(s.form.properties.Headers)
	s.answer.Headers["async-status"] = "0"
	s.form.properties.ReplyTo = s.replies
	s.form.properties.Headers["async-deadline"] = s.form.properties.Headers["async-sent-at"]
	return nil
}

// Receive begins to answer, and to take the answers.
func (s *deskSession) Receive(_ context.Context, mark load.HandleFunc) error {
	s.mark = mark
	server, err := s.in.Channel()
	if err != nil {
		return err
	}
	answers := server
	if s.stored {
		if answers, err = s.in.Channel(); err != nil {
			return err
		}
		if err := answers.Confirm(false); err != nil {
			return err
		}
	}
	answered := 0
	err = s.consume(server, func(d *amqp.Delivery) error {
		reply := s.answer
		reply.CorrelationId, reply.Body = d.CorrelationId, d.Body
		stored, err := answers.PublishWithDeferredConfirm("", d.ReplyTo, s.stored, false, reply)
		if answered++; err != nil || answered%stride != 0 {
			return err
		}
		return confirmed(context.Background(), stored) // before the requests are acknowledged
	})
	if err != nil {
		return err
	}
	return s.listen()
}

// listen takes the answers: those of direct reply-to on the channel that has asked, and without acknowledgement, as it must be.
func (s *deskSession) listen() error {
	const tag = "replies"
	ch, queue := s.sends, replyTo
	if s.stored {
		var err error
		if ch, err = s.out.Channel(); err != nil {
			return err
		}
		if err := ch.Qos(prefetch, 0, false); err != nil {
			return err
		}
		queue = s.replies
	}
	deliveries, err := ch.Consume(queue, tag, !s.stored, false, false, false, nil)
	if err != nil {
		return err
	}
	s.hangUp = func() error { return ch.Cancel(tag, false) }
	s.listening.Go(func() {
		if s.stored {
			s.unheard = handleAll(deliveries, func(d *amqp.Delivery) error {
				s.hear(d)
				return nil
			})
			return
		}
		for d := range deliveries {
			s.hear(&d)
		}
	})
	return nil
}

// hear gives an answer to who has asked.
func (s *deskSession) hear(d *amqp.Delivery) {
	s.mu.Lock()
	call := s.calls[d.CorrelationId]
	delete(s.calls, d.CorrelationId)
	s.mu.Unlock()
	if call != nil {
		call <- d.Body
	}
}

func (s *deskSession) Send(ctx context.Context, src *load.Source) error {
	return peer.Ask(ctx, s.load.Callers, src, s.mark, s.ask)
}

func (s *deskSession) ask(ctx context.Context, number int) (int, error) {
	id, reply := strconv.Itoa(number), make(chan []byte, 1)
	s.mu.Lock()
	s.calls[id] = reply
	s.mu.Unlock()
	request := s.form.properties
	request.CorrelationId, request.Body = id, load.Payload(s.load.Bytes, number, 0)
	if err := s.sends.PublishWithContext(ctx, s.form.exchange, s.form.key, s.form.mandatory, false, request); err != nil {
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

func (s *deskSession) Close(ctx context.Context) error {
	var err error
	if s.hangUp != nil {
		err = s.hangUp()
		s.listening.Wait()
	}
	return errors.Join(err, s.unheard, s.session.Close(ctx))
}

func (s *deskSession) Topology() peer.Topology {
	t := s.session.Topology()
	if s.stored {
		t.Queues = append(t.Queues, s.replies)
	}
	return t
}
