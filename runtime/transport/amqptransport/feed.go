package amqptransport

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// feed consumes one queue, over one channel after the other.
type feed struct {
	c     *consumption
	queue string
	old   bool // a queue of a group alias: consumed while it exists, never declared
	// started gets the outcome of the first attempt.
	started chan error
	// quiet is closed when nothing is fetched any more.
	quiet   chan struct{}
	once    sync.Once
	running atomic.Bool
	// suspect: the last consumer that was asked for got no answer.
	suspect bool
}

// run consumes, and begins again after every loss, until it is stopped.
func (f *feed) run() {
	defer f.isQuiet()
	ctx, cancel := context.WithCancel(f.c.ctx)
	defer cancel()
	// Between two channels there is nothing to give back, so stopping ends the feed there.
	go func() {
		select {
		case <-f.c.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	b := newBackoff(f.c.t.settings.pace)
	first := true
	for {
		ses, err := f.c.t.consume.session(ctx)
		if err != nil {
			f.start(err)
			return
		}
		consumed, err := f.attempt(ctx, ses)
		if ctx.Err() != nil {
			f.start(ctx.Err())
			return
		}
		if f.old && serverCode(err) == amqp.NotFound {
			f.start(nil)
			return
		}
		err = fmt.Errorf("consume queue %q: %w", f.queue, err)
		if !consumed && first && !unreachable(err) {
			f.start(err)
			return
		}
		first = first && !consumed
		f.c.report(err)
		f.c.t.logger.Debug("a consuming channel was lost", "queue", f.queue, "error", err)
		if consumed {
			b.reset()
			if f.c.s.Interrupted != nil {
				f.c.s.Interrupted(err)
			}
		}
		if ses.conn.IsClosed() {
			select {
			case <-ses.lost:
			case <-ctx.Done():
				return
			}
			if !ses.condemned() {
				// The next connection has a pace of its own, and nothing that this one suffered is held against it.
				b.reset()
				continue
			}
		}
		if !b.wait(ctx) {
			return
		}
	}
}

func (f *feed) start(err error) {
	select {
	case f.started <- err:
	default:
	}
}

func (f *feed) isQuiet() { f.once.Do(func() { close(f.quiet) }) }

// consume runs one channel of ses, from its opening to its loss. It reports whether deliveries could come.
func (f *feed) consume(ctx context.Context, ses *session) (consumed bool, err error) {
	if !f.old {
		if err := f.c.t.build(ctx, ses, f.c.s); err != nil {
			return false, err
		}
	}
	ch, err := ses.channel(ctx)
	if err != nil {
		return false, err
	}
	p := newPost(f.c.t, ses, ch, f.c.free)
	p.enough = max(1, cap(f.c.credit)/4)
	if f.c.s.Ordered {
		// One that is put back by itself would come again behind its successors, which are still out.
		p.keep = f.c.stopping
	}
	prefetch := cap(f.c.credit)
	if own := f.c.t.settings.config.Consume.Qos.PrefetchCount; own > 0 {
		prefetch = own
	}
	deliveries, err := f.ask(ctx, ses, ch, prefetch)
	if err != nil {
		p.lose(err)
		p.work.Wait()
		return false, err
	}
	f.start(nil)
	f.c.report(nil)
	p.work.Go(p.write)
	stopped := f.pump(p, deliveries)
	if stopped {
		// The end of its consumer makes the broker hand the next messages of an ordered group to the next one at
		// once, ahead of those that are still out here. So that consumer ends together with the channel, which
		// gives back everything in order.
		if !f.c.s.Ordered {
			p.cancelConsumer(f.tag(), deliveries)
		}
		f.isQuiet()
		select {
		case <-f.c.closing:
			p.drain()
		case <-p.ctx.Done():
		case <-f.c.ctx.Done():
		}
	}
	p.lose(errStopped)
	_ = ch.Close()
	p.work.Wait()
	return true, p.reason
}

// pump hands deliveries out until the channel is lost. It reports whether it ended because fetching was stopped.
func (f *feed) pump(p *post, deliveries <-chan amqp.Delivery) (stopped bool) {
	for {
		select {
		case d, open := <-deliveries:
			if !open {
				return false
			}
			if !f.c.reserve(p) {
				if p.ctx.Err() != nil {
					return false
				}
				f.giveBack(p, d.DeliveryTag)
				return true
			}
			if !f.c.hand(p, &d) {
				f.c.free()
				f.giveBack(p, d.DeliveryTag)
				return true
			}
		case <-f.c.stopping:
			return true
		case <-p.ctx.Done():
			return false
		}
	}
}

// giveBack returns a delivery that came while fetching was stopped. One of an ordered group stays with the channel, which
// returns it together with those before it: the broker puts what is returned by itself in front of what is returned later.
func (f *feed) giveBack(p *post, tag uint64) {
	if !f.c.s.Ordered {
		p.giveBack(tag)
	}
}

// tag names the consumer, which is the only one on its channel.
func (f *feed) tag() string {
	if own := f.c.t.settings.config.Consume.Consumer; own != "" {
		return own
	}
	return "async"
}

// subscribe starts the consumer at the broker.
func (f *feed) subscribe(ch *amqp.Channel, prefetch int) (<-chan amqp.Delivery, error) {
	if f.old {
		if err := f.c.t.retire(ch, f.queue, f.c.s); err != nil {
			return nil, err
		}
	}
	config := f.c.t.settings.config.Consume
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	return ch.Consume(f.queue, f.tag(), false, config.Exclusive, false, false, config.Arguments)
}
