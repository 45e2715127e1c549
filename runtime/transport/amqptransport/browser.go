package amqptransport

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// Queues implements [transport.Browser]. AMQP can neither list queues nor count what is unsettled: without names it
// is [transport.ErrUnsupported], and Unsettled stays 0. While the leader of a quorum queue does not answer, RabbitMQ says
// that the queue is empty and has no consumers; Queues asks again then, for some seconds, and returns
// [transport.ErrNotCounted] after that.
func (t *Transport) Queues(ctx context.Context, names ...string) ([]transport.QueueInfo, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: amqp cannot list queues; name them, or use rabbitmqctl list_queues", transport.ErrUnsupported)
	}
	var queues []transport.QueueInfo
	for _, name := range names {
		var q amqp.Queue
		err := t.persist(ctx, func(ses *session) error {
			return t.onChannel(ctx, ses, func(ch *amqp.Channel) (err error) {
				q, err = count(ch, name)
				return err
			})
		})
		if serverCode(err) == amqp.NotFound {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("queue %q: %w", name, err)
		}
		queues = append(queues, transport.QueueInfo{Name: name, Ready: q.Messages, Consumers: q.Consumers})
	}
	return queues, nil
}

// Take implements [transport.Browser]. Each call keeps a channel until all that it took is settled. It reads as a
// consumer for a moment, which is many times faster than to ask for one message after the other.
func (t *Transport) Take(ctx context.Context, queue string, limit int) ([]transport.Delivery, error) {
	if limit < 1 {
		return nil, nil
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	ses, err := t.consume.session(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := ses.channel(ctx)
	if err != nil {
		return nil, err
	}
	settled := make(chan struct{}, limit)
	p := newPost(t, ses, ch, func() { settled <- struct{}{} })
	var taken []transport.Delivery
	err = readHead(ctx, ch, queue, limit, func(d *amqp.Delivery) { taken = append(taken, p.delivery(d)) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && t.closing.Load() {
		err = transport.ErrClosed
	}
	if err != nil {
		_ = ch.Close()
		p.lose(err)
		p.work.Wait()
		if serverCode(err) == amqp.NotFound {
			return nil, fmt.Errorf("%w: queue %q does not exist", transport.ErrUnroutable, queue)
		}
		return nil, fmt.Errorf("queue %q: %w", queue, err)
	}
	p.work.Go(p.write)
	t.work.Go(func() {
		defer p.work.Wait()
		for range taken {
			select {
			case <-settled:
			case <-t.ctx.Done():
			}
		}
		p.drain()
		p.lose(errStopped)
		_ = ch.Close()
	})
	return taken, nil
}

const (
	// fewToAskFor is how many messages are asked for one by one rather than with a consumer.
	fewToAskFor = 4
	// headSilence is how long a consumer hears nothing before the rest is asked for. Behind the single active consumer of a queue
	// it hears nothing at all.
	headSilence = 500 * time.Millisecond
)

// readHead hands the first messages of a queue to take: limit of them, or as many as there are. None is settled.
func readHead(ctx context.Context, ch *amqp.Channel, queue string, limit int, take func(*amqp.Delivery)) error {
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		return err
	}
	if there := min(limit, q.Messages, maxPrefetch); there > fewToAskFor {
		read, err := consumeHead(ctx, ch, queue, there, take)
		if err != nil {
			return err
		}
		limit -= read
	}
	// The broker's count is a moment old: only an empty answer is the end.
	for range limit {
		d, there, err := ch.Get(queue, false)
		if err != nil || !there {
			return err
		}
		take(&d)
	}
	return nil
}

// consumeHead reads count messages as a consumer, or fewer when no more come. It leaves no consumer behind: what is put back
// would be handed to it again.
func consumeHead(ctx context.Context, ch *amqp.Channel, queue string, count int, take func(*amqp.Delivery)) (read int, err error) {
	if err := ch.Qos(count, 0, false); err != nil {
		return 0, err
	}
	tag := "browse." + watermill.NewShortUUID()
	deliveries, err := ch.Consume(queue, tag, false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	silence := time.NewTimer(headSilence)
	defer silence.Stop()
	for quiet := false; !quiet && read < count; {
		select {
		case d, open := <-deliveries:
			if !open {
				return read, amqp.ErrClosed
			}
			take(&d)
			read++
			silence.Reset(headSilence)
		case <-silence.C:
			quiet = true
		case <-ctx.Done():
			return read, context.Cause(ctx)
		}
	}
	if err := ch.Cancel(tag, false); err != nil {
		return read, err
	}
	for d := range deliveries {
		take(&d)
		read++
	}
	return read, nil
}
