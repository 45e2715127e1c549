package amqptransport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// maxProbes is how many queues are probed at the same time.
const maxProbes = 4

// ask starts the consumer at the broker. It returns when ctx ends or the broker takes too long, even when there is never an
// answer. On an error the channel is of no more use.
//
// RabbitMQ leaves a consumer of a quorum queue without an answer while the queue has no leader. After a minute it gives up and
// ends the connection.
func (f *feed) ask(ctx context.Context, ses *session, ch *amqp.Channel, prefetch int) (<-chan amqp.Delivery, error) {
	type answer struct {
		deliveries <-chan amqp.Delivery
		err        error
	}
	answered := make(chan answer, 1)
	go func() {
		deliveries, err := f.subscribe(ch, prefetch)
		answered <- answer{deliveries, err}
	}()
	timer := time.NewTimer(min(ses.patience(), answerTimeout))
	defer timer.Stop()
	var err error
	select {
	case a := <-answered:
		if a.err != nil {
			_ = ch.Close()
		}
		return a.deliveries, a.err
	case <-timer.C:
		err = fmt.Errorf("%w; %s", errNoAnswer, leaderHint)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	go func() {
		<-answered
		_ = ch.Close()
	}()
	return nil, err
}

// probe asks for a consumer of a queue that gave no answer, on a connection of its own: RabbitMQ would end the one that all
// others share again and again, with what they have in their hands. It returns nil when there was an answer.
func (f *feed) probe(ctx context.Context) error {
	t := f.c.t
	select {
	case t.probes <- struct{}{}:
		defer func() { <-t.probes }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ses, err := t.consume.dialer.connect(ctx, "probe", 0)
	if err != nil {
		return err
	}
	var watcher sync.WaitGroup
	watcher.Go(func() { ses.watch(func() {}) })
	defer watcher.Wait()
	// Nothing else is on this connection that a handshake could wait for.
	defer ses.stream.cut()
	ch, err := ses.channel(ctx)
	if err != nil {
		return err
	}
	if _, err := f.ask(ctx, ses, ch, 1); err != nil {
		return err
	}
	// What came goes back in order.
	return ch.Close()
}

// attempt consumes once, from the opening of a channel to its loss. It reports whether deliveries could come.
func (f *feed) attempt(ctx context.Context, ses *session) (consumed bool, err error) {
	if f.suspect {
		if err := f.probe(ctx); err != nil {
			return false, err
		}
		f.suspect = false
	}
	if consumed, err = f.consume(ctx, ses); !errors.Is(err, errNoAnswer) {
		return consumed, err
	}
	f.suspect = true
	f.c.t.logger.Warn("a queue gives no answer: nothing is consumed from it before it does; "+leaderHint, "queue", f.queue)
	return consumed, err
}

// leaderHint says where to look.
const leaderHint = "a quorum queue may have lost its leader, see rabbitmqctl list_queues name state leader"
