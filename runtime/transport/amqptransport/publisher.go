package amqptransport

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// sweepInterval is how late a send may notice its deadline.
const sweepInterval = 25 * time.Millisecond

// send is one message on its way to the broker. It belongs to its shard, whose mutex guards the fields below the line.
type send struct {
	topic     string // physical topic whose exchange must exist; empty on the default exchange and on the ladder
	target    target // where the ladder ends; empty without a delay
	exchange  string
	key       string
	direct    bool // to a queue by its name: of dead letters, or of a caller
	mandatory bool // the caller wants to know that nobody takes it
	expected  bool // a queue that was declared here, or the ladder, has to take it
	id        string
	header    []byte // the payload of the header frame
	body      []byte
	life      context.Context
	deadline  time.Time
	done      func(error)

	place    uint64 // counts what its shard was handed
	confirm  *amqp.DeferredConfirmation
	returned string // why the broker gave it back
	suspect  bool   // an earlier channel may have carried it to the broker
	answered bool   // done was called, or is about to be
	finished bool   // the broker has answered, the place in the window is free
	repairs  int    // how often its exchange was declared again
}

// Send implements [transport.Sender].
func (t *Transport) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	s := &send{
		mandatory: p.Mandatory || t.settings.config.Publish.Mandatory,
		life:      msg.Context(),
		deadline:  p.Deadline,
		done:      done,
	}
	if err := t.route(s, p); err != nil {
		return err
	}
	if err := t.encode(s, msg); err != nil {
		return fmt.Errorf("message %q: %w", msg.UUID, err)
	}
	if err := t.acquire(ctx, p); err != nil {
		return err
	}
	if !t.shard(p).enqueue(s) {
		t.window.give(1)
		return transport.ErrClosed
	}
	select {
	case t.sweep <- struct{}{}:
	default:
	}
	return nil
}

// encode fills what goes over the wire.
func (t *Transport) encode(s *send, msg *message.Message) (err error) {
	if t.settings.native() {
		s.id, s.body = msg.UUID, msg.Payload
		s.header, err = encode(msg, s.target)
	} else {
		var publishing amqp.Publishing
		if publishing, err = t.settings.config.Marshaler.Marshal(msg); err != nil {
			return err
		}
		s.id, s.body = publishing.MessageId, publishing.Body
		s.header, err = encodePublishing(&publishing, s.target)
	}
	if err != nil {
		return err
	}
	return checkHeaderFrame(s.header, t.frameSize, s.reserve())
}

// route fills exchange and routing key.
func (t *Transport) route(s *send, p transport.Publication) error {
	if err := checkName(p.Topic, p.Group); err != nil {
		return err
	}
	switch {
	case p.Direct:
		s.key, s.direct = p.Topic, true
	case p.Group != "":
		s.key = t.queueName(p.Topic, p.Group)
	default:
		s.exchange, s.key = t.settings.config.Exchange.GenerateName(p.Topic), p.RoutingKey
		if own := t.settings.config.Publish.GenerateRoutingKey; own != nil {
			s.key = own(p.Topic)
		}
		if s.exchange != "" {
			s.topic = p.Topic
		}
	}
	if p.Delay > 0 {
		return s.postpone(p)
	}
	s.expected = t.expected(s.topic)
	if len(s.key) > maxShortText || len(s.exchange) > maxShortText {
		return tooLong("the exchange or routing key", max(len(s.key), len(s.exchange)))
	}
	return nil
}

// postpone sends s up the ladder instead.
func (s *send) postpone(p transport.Publication) (err error) {
	s.target = queueTarget(s.key)
	if s.exchange != "" {
		s.target = topicTarget(p.Topic)
	}
	s.topic, s.expected = "", true
	s.exchange, s.key, err = climb(p.Delay, s.target)
	return err
}

// reserve is how much of the frame of its headers is kept for the broker.
func (s *send) reserve() int {
	switch {
	case s.target != "":
		return frameReserve + ladderReserve
	case s.direct:
		return directReserve
	default:
		return frameReserve
	}
}

// prepare makes what s needs at the broker, if it was not made before on this connection.
func (t *Transport) prepare(ses *session, s *send) error {
	if s.target != "" {
		return t.ready(ses, s.target)
	}
	return t.ensure(ses, s.topic)
}

// expected reports whether a queue of topic was declared here that takes every message: without a route its binding
// is gone, and is made again.
func (t *Transport) expected(topic string) bool {
	return t.settings.declare == transport.DeclareCreate && t.topology.knows(topic) &&
		t.settings.config.QueueBind.GenerateRoutingKey(topic) == bindAll && t.settings.config.Exchange.Type == exchangeTopic
}

// acquire takes a place in the window.
func (t *Transport) acquire(ctx context.Context, p transport.Publication) error {
	if t.closing.Load() {
		return transport.ErrClosed
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if t.window.take() {
		return nil
	}
	if p.NoWait {
		return transport.ErrBacklog
	}
	turn := t.window.queue()
	if turn == nil {
		return nil
	}
	var late <-chan time.Time
	if !p.Deadline.IsZero() {
		timer := time.NewTimer(time.Until(p.Deadline))
		defer timer.Stop()
		late = timer.C
	}
	var err error
	select {
	case <-turn:
		return nil
	case <-t.ctx.Done():
		err = transport.ErrClosed
	case <-ctx.Done():
		err = t.congestion(context.Cause(ctx))
	case <-late:
		err = t.congestion(context.DeadlineExceeded)
	}
	t.window.leave(turn)
	return err
}

// congestion says why a message could not be taken, or written, in time. It is stored nowhere.
func (t *Transport) congestion(cause error) error {
	state := t.publish.state()
	switch {
	case state == nil:
		return fmt.Errorf("%w: %w", transport.ErrBacklog, cause)
	case errors.Is(state, transport.ErrBlocked):
		return fmt.Errorf("%w: %w", state, cause)
	default:
		return fmt.Errorf("%w: no connection: %w (%w)", transport.ErrBlocked, cause, state)
	}
}

// uncertainty says why the broker's answer did not come in time. The broker may have the message.
func (t *Transport) uncertainty(cause error) error {
	if errors.Is(t.publish.state(), transport.ErrBlocked) {
		return fmt.Errorf("%w: %w (%w)", transport.ErrUnknown, cause, transport.ErrBlocked)
	}
	return fmt.Errorf("%w: %w", transport.ErrUnknown, cause)
}

var keySeed = maphash.MakeSeed()

// shard is where p goes: all of one key over one channel, and what has no key with the rest of its topic. More channels
// for one topic would not help, since its queues take one message after the other.
func (t *Transport) shard(p transport.Publication) *shard {
	key := p.Key
	if key == "" {
		key = p.Topic
	}
	return t.shards[maphash.String(keySeed, key)%uint64(len(t.shards))]
}

// runSweeper ends sends whose time is over. One for all, since a timer for each costs more than the send itself.
func (t *Transport) runSweeper() {
	for {
		select {
		case <-t.sweep:
		case <-t.ctx.Done():
			return
		}
		t.sweepUntilIdle()
	}
}

func (t *Transport) sweepUntilIdle() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for !t.window.idle() {
		select {
		case now := <-ticker.C:
			for _, sh := range t.shards {
				sh.expire(now)
				sh.hasten(now)
			}
		case <-t.ctx.Done():
			return
		}
	}
}
