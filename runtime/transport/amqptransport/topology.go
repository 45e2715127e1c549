package amqptransport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

const (
	// deliveryLimit is the broker's own end of a message that nobody acknowledges. It is far above any number of
	// attempts, since a message that is put back by a drain counts too.
	deliveryLimit = 100
	// noLimit is the delivery limit of dead letters. They are never handed out to be handled, but looking at them counts,
	// and RabbitMQ 4 deletes what was looked at 20 times unless the queue says otherwise.
	noLimit = math.MaxInt32
	// temporary is how long, in milliseconds, the queue of a broadcast group or of replies outlives its consumer.
	temporary = 60_000
)

// answerTimeout is how long the broker may take for what is asked on one channel. Feeds and shards have no deadline of their own,
// and others may be waiting for what they do.
const answerTimeout = 30 * time.Second

var (
	// errSessionLost: the connection that asked went away first.
	errSessionLost = errors.New("the connection was lost")
	// errNoAnswer: the broker left a question open on a connection that lives.
	errNoAnswer = errors.New("the broker gave no answer")
)

// Declare implements [transport.Declarer]. It uses the consuming connection, which the broker never blocks. Each call
// opens a channel of its own, since a refusal closes the channel.
func (t *Transport) Declare(ctx context.Context, s transport.Subscription) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if t.closing.Load() {
		return transport.ErrClosed
	}
	if err := t.topology.put(t.queueOf(s), s); err != nil {
		return err
	}
	err := t.persist(ctx, func(ses *session) error { return t.build(ctx, ses, s) })
	if err != nil && !unreachable(err) {
		t.topology.remove(t.queueOf(s))
	}
	return err
}

// persist calls f with a consuming connection, again with the next one when that is lost, until ctx ends.
func (t *Transport) persist(ctx context.Context, f func(*session) error) error {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	b := newBackoff(t.settings.pace)
	var last error
	for {
		ses, err := t.consume.session(ctx)
		if err == nil {
			if err = f(ses); err == nil || !unreachable(err) {
				return err
			}
			last = err
		}
		if !b.wait(ctx) {
			return errors.Join(context.Cause(ctx), last)
		}
	}
}

// bound ends ctx with the transport.
func (t *Transport) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.ctx, func() { cancel(transport.ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// onChannel calls f with a channel of its own. It returns when ctx ends or the broker takes too long, even when f does not.
func (t *Transport) onChannel(ctx context.Context, ses *session, f func(*amqp.Channel) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errNoAnswer)
	defer cancel()
	ch, err := ses.channel(ctx)
	if err != nil {
		return err
	}
	answer := make(chan error, 1)
	go func() {
		err := f(ch)
		_ = ch.Close()
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// onQueue is onChannel for what declares queue. Of two who declare a quorum queue at the same time, RabbitMQ tells the second
// that it is there before it has a leader, and refuses what is published to it until then: so the second waits for the first.
func (t *Transport) onQueue(ctx context.Context, ses *session, queue string, f func(*amqp.Channel) error) error {
	end, err := t.declaring.take(ctx, queue)
	if err != nil {
		return err
	}
	defer end()
	return t.onChannel(ctx, ses, f)
}

// build makes or verifies everything that s needs. What belongs to this process alone nobody else can make.
func (t *Transport) build(ctx context.Context, ses *session, s transport.Subscription) error {
	if s.Kind == transport.KindReply || s.Broadcast && t.settings.declare != transport.DeclareCreate {
		return t.buildOwn(ctx, ses, s)
	}
	if t.settings.declare == transport.DeclareNone {
		return nil
	}
	if !t.settings.plain {
		if err := t.raise(ctx, ses); err != nil {
			return err
		}
	}
	for _, topic := range topics(s) {
		if t.settings.config.Exchange.GenerateName(topic) == "" {
			continue
		}
		if err := t.onChannel(ctx, ses, func(ch *amqp.Channel) error { return t.buildExchange(ch, topic) }); err != nil {
			return err
		}
	}
	if t.settings.plain {
		return t.buildGroup(ctx, ses, s)
	}
	for _, dead := range deadQueues(s) {
		if err := t.buildQueue(ctx, ses, dead, t.deadArguments()); err != nil {
			return err
		}
	}
	if err := t.buildGroup(ctx, ses, s); err != nil {
		return err
	}
	return t.bindTargets(ctx, ses, s)
}

func topics(s transport.Subscription) []string { return append([]string{s.Topic}, s.Aliases...) }

// deadQueues are the queues of dead letters: the one that the broker uses by itself, and the one that the runtime was
// told to use.
func deadQueues(s transport.Subscription) []string {
	var names []string
	if !s.Broadcast {
		names = append(names, transport.DeadName(s.Topic, s.Group))
	}
	if s.DeadTopic != "" && !slices.Contains(names, s.DeadTopic) {
		names = append(names, s.DeadTopic)
	}
	return names
}

func (t *Transport) deadArguments() amqp.Table {
	arguments := amqp.Table{amqp.QueueTypeArg: t.settings.queueType}
	if t.settings.queueType == queueQuorum {
		arguments["x-delivery-limit"] = int32(noLimit)
	}
	return arguments
}

func temporaryQueue() amqp.Table {
	return amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeClassic, amqp.QueueTTLArg: int32(temporary)}
}

// groupArguments are final: nothing that is tuned may show in them, since the broker never changes a queue.
func (t *Transport) groupArguments(s transport.Subscription) amqp.Table {
	if s.Broadcast {
		return temporaryQueue()
	}
	if own := t.settings.config.Queue.Arguments; own != nil || t.settings.plain {
		return own
	}
	arguments := amqp.Table{
		amqp.QueueTypeArg:           t.settings.queueType,
		amqp.QueueOverflowArg:       amqp.QueueOverflowRejectPublish,
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": transport.DeadName(s.Topic, s.Group),
	}
	if t.settings.queueType == queueQuorum {
		arguments["x-delivery-limit"] = int32(deliveryLimit)
		arguments["x-dead-letter-strategy"] = "at-least-once"
	}
	if s.Ordered {
		arguments[amqp.SingleActiveConsumerArg] = true
	}
	return arguments
}

func (t *Transport) buildExchange(ch *amqp.Channel, topic string) error {
	exchange := t.settings.config.Exchange.GenerateName(topic)
	if t.settings.declare == transport.DeclareVerify {
		c := t.settings.config.Exchange
		err := ch.ExchangeDeclarePassive(exchange, c.Type, c.Durable, c.AutoDeleted, c.Internal, false, c.Arguments)
		if err != nil {
			return topologyError("exchange", exchange, err)
		}
	}
	err := t.settings.config.TopologyBuilder.ExchangeDeclare(ch, exchange, t.settings.config)
	return t.declared("exchange", exchange, err)
}

func (t *Transport) buildQueue(ctx context.Context, ses *session, name string, arguments amqp.Table) error {
	return t.onQueue(ctx, ses, name, func(ch *amqp.Channel) error {
		if t.settings.declare == transport.DeclareVerify {
			if _, err := ch.QueueDeclarePassive(name, true, false, false, false, arguments); err != nil {
				return topologyError("queue", name, err)
			}
		}
		_, err := ch.QueueDeclare(name, true, false, false, false, arguments)
		return t.declared("queue", name, err)
	})
}

// buildOwn makes the queue of replies or of a broadcast group, and lets the messages of its topics reach it.
func (t *Transport) buildOwn(ctx context.Context, ses *session, s transport.Subscription) error {
	queue := t.queueOf(s)
	return t.onChannel(ctx, ses, func(ch *amqp.Channel) error {
		if _, err := ch.QueueDeclare(queue, true, false, false, false, temporaryQueue()); err != nil || s.Kind == transport.KindReply {
			return topologyError("queue", queue, err)
		}
		bind := t.settings.config.QueueBind
		for _, topic := range topics(s) {
			exchange := t.settings.config.Exchange.GenerateName(topic)
			if exchange == "" {
				continue
			}
			if err := ch.QueueBind(queue, bind.GenerateRoutingKey(topic), exchange, false, bind.Arguments); err != nil {
				return topologyError("exchange", exchange, err)
			}
		}
		for _, to := range t.targets(s) {
			if err := ch.QueueBind(queue, to.binding(), deliverExchange, false, nil); err != nil {
				return topologyError("exchange", deliverExchange, err)
			}
		}
		return nil
	})
}

func (t *Transport) buildGroup(ctx context.Context, ses *session, s transport.Subscription) error {
	config, queue := t.settings.config, t.queueOf(s)
	config.Queue.Arguments = t.groupArguments(s)
	if s.Broadcast {
		config.Queue.Durable, config.Queue.AutoDelete, config.Queue.Exclusive = true, false, false
	}
	return t.onQueue(ctx, ses, queue, func(ch *amqp.Channel) error {
		if t.settings.declare == transport.DeclareVerify {
			q := config.Queue
			if _, err := ch.QueueDeclarePassive(queue, q.Durable, q.AutoDelete, q.Exclusive, false, q.Arguments); err != nil {
				return topologyError("queue", queue, err)
			}
			_, err := ch.QueueDeclare(queue, q.Durable, q.AutoDelete, q.Exclusive, false, q.Arguments)
			return t.declared("queue", queue, err)
		}
		for _, topic := range topics(s) {
			err := config.TopologyBuilder.BuildTopology(ch, wamqp.BuildTopologyParams{
				Topic:        topic,
				QueueName:    queue,
				ExchangeName: config.Exchange.GenerateName(topic),
				RoutingKey:   config.QueueBind.GenerateRoutingKey(topic),
			}, config, watermill.NewSlogLogger(t.logger))
			if err != nil {
				return t.declared("queue", queue, err)
			}
		}
		return nil
	})
}

// retire checks that the queue of an old group name exists, and takes its bindings away: the new queue has them, and
// with both the group would get every message twice. Where nothing may be declared, whoever does it has to see to that.
func (t *Transport) retire(ch *amqp.Channel, queue string, s transport.Subscription) error {
	if _, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil {
		return err
	}
	if t.settings.declare != transport.DeclareCreate {
		return nil
	}
	for _, topic := range topics(s) {
		exchange := t.settings.config.Exchange.GenerateName(topic)
		if exchange == "" {
			continue
		}
		err := ch.QueueUnbind(queue, t.settings.config.QueueBind.GenerateRoutingKey(topic), exchange, t.settings.config.QueueBind.Arguments)
		if err != nil {
			return wrap("queue", queue, err)
		}
		if err := ch.QueueUnbind(queue, topicTarget(topic).binding(), deliverExchange, nil); err != nil {
			return wrap("queue", queue, err)
		}
	}
	return nil
}

// declared reads the answer to a declaration. When only verifying, a user without the right to declare cannot compare
// the arguments; that the entity is there has been seen before.
func (t *Transport) declared(kind, name string, err error) error {
	if t.settings.declare == transport.DeclareVerify && serverCode(err) == amqp.AccessRefused {
		t.logger.Debug("cannot compare without the right to declare", kind, name)
		return nil
	}
	return topologyError(kind, name, err)
}

func (t *Transport) queueName(topic, group string) string {
	if own := t.settings.config.Queue.GenerateName; own != nil {
		return own(topic)
	}
	return transport.QueueName(topic, group)
}

func (t *Transport) queueOf(s transport.Subscription) string {
	switch {
	case s.Kind == transport.KindReply || s.Broadcast:
		return s.Queue()
	default:
		return t.queueName(s.Topic, s.Group)
	}
}

func checkName(topic, group string) error {
	if topic == "" {
		return errors.New("the topic is empty")
	}
	name := topic
	if group != "" {
		name = transport.QueueName(topic, group)
	}
	if len(name) > transport.MaxNameBytes {
		return fmt.Errorf("%w: the name %.40q... has %d bytes, at most %d are allowed", transport.ErrTooLarge, name, len(name), transport.MaxNameBytes)
	}
	return nil
}
