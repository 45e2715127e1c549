package amqptransport

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// Queues implements [transport.Browser]. AMQP can neither list queues nor count what is unsettled: without names it
// is [transport.ErrUnsupported], and Unsettled stays 0.
func (t *Transport) Queues(ctx context.Context, names ...string) ([]transport.QueueInfo, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: amqp cannot list queues; name them, or use rabbitmqctl list_queues", transport.ErrUnsupported)
	}
	var queues []transport.QueueInfo
	for _, name := range names {
		var q amqp.Queue
		err := t.persist(ctx, func(ses *session) error {
			return t.onChannel(ctx, ses, func(ch *amqp.Channel) (err error) {
				q, err = ch.QueueDeclarePassive(name, true, false, false, false, nil)
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

// Take implements [transport.Browser]. Each call keeps a channel until all that it took is settled.
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
	for range limit {
		d, there, getErr := ch.Get(queue, false)
		if err = getErr; err != nil || !there {
			break
		}
		taken = append(taken, p.delivery(&d))
	}
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
