package amqptransport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

var (
	errStopped   = errors.New("the consumption was closed")
	errCancelled = errors.New("the broker ended the consumer: its queue was deleted, or moved")
)

// post carries outcomes back over the channel that the deliveries came from. It ends with that channel.
type post struct {
	t   *Transport
	ses *session
	ch  *amqp.Channel
	// release is called once for every delivery that was handed out, when it is settled: before that its receiver may still
	// be at work, even where the delivery is lost.
	release func()
	// ctx is the context of every message of the channel.
	ctx    context.Context
	cancel context.CancelCauseFunc
	closed chan *amqp.Error
	ended  chan string
	work   sync.WaitGroup
	// enough is how many outcomes are sent without waiting for more.
	enough int
	// keep, once closed, lets what is put back wait for the end of the channel; nil for never.
	keep <-chan struct{}

	ledger ledger // the writer's

	mu       sync.Mutex
	outcomes []outcome
	lost     bool
	reason   error
	draining bool
	wake     chan struct{}
	drained  chan struct{}
}

type outcome struct {
	tag     uint64
	requeue bool
	// out: the delivery had been handed out.
	out  bool
	done func(error)
}

func newPost(t *Transport, ses *session, ch *amqp.Channel, release func()) *post {
	p := &post{
		t: t, ses: ses, ch: ch, release: release,
		enough:  1,
		closed:  ch.NotifyClose(make(chan *amqp.Error, 1)),
		ended:   ch.NotifyCancel(make(chan string, 1)),
		wake:    make(chan struct{}, 1),
		drained: make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.work.Go(p.watch)
	return p
}

// watch notices the end of the channel at once, even while the receiver is busy: the handlers of what is out must
// know that another consumer gets their messages.
func (p *post) watch() {
	select {
	case err := <-p.closed:
		if err == nil {
			p.lose(amqp.ErrClosed)
			return
		}
		p.lose(err)
	case <-p.ended:
		p.lose(errCancelled)
	case <-p.ctx.Done():
	}
}

// lose ends the channel for the deliveries. The first reason stays.
func (p *post) lose(reason error) {
	p.mu.Lock()
	if p.lost {
		p.mu.Unlock()
		return
	}
	p.lost, p.reason = true, reason
	left := p.outcomes
	p.outcomes = nil
	p.mu.Unlock()
	p.cancel(transport.ErrDeliveryLost)
	for _, o := range left {
		o.report(transport.ErrDeliveryLost)
	}
}

func (o outcome) report(err error) {
	if o.done != nil {
		o.done(err)
	}
}

// settle queues o for the writer, so that the receiver never stands in a write.
func (p *post) settle(o outcome) {
	p.mu.Lock()
	lost, waiting := p.lost, 0
	if !lost {
		p.outcomes = append(p.outcomes, o)
		waiting = len(p.outcomes)
	}
	p.mu.Unlock()
	if o.out {
		p.release()
	}
	if lost {
		o.report(transport.ErrDeliveryLost)
		return
	}
	// The first wakes the writer, the last that it waits for ends its waiting.
	if waiting == 1 || waiting == p.enough {
		p.signal()
	}
}

func (p *post) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// write sends outcomes to the broker until the channel is lost, or everything is sent after drain.
func (p *post) write() {
	timer := time.NewTimer(lingerFor)
	defer timer.Stop()
	var batch []outcome
	for {
		p.mu.Lock()
		batch, p.outcomes = p.outcomes, batch[:0]
		draining := p.draining
		p.mu.Unlock()
		if len(batch) > 0 {
			p.flush(batch)
			clear(batch)
			continue
		}
		if draining {
			close(p.drained)
			return
		}
		select {
		case <-p.wake:
			p.linger(timer)
		case <-p.ctx.Done():
			return
		}
	}
}

// lingerFor is how long outcomes wait for company.
const lingerFor = time.Millisecond

// linger lets a few outcomes become many, so that their acks are one frame. It returns when there are enough.
func (p *post) linger(timer *time.Timer) {
	timer.Reset(lingerFor)
	defer timer.Stop()
	for {
		p.mu.Lock()
		enough := p.draining || len(p.outcomes) >= p.enough
		p.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-p.wake:
		case <-timer.C:
			return
		case <-p.ctx.Done():
			return
		}
	}
}

// flush sends a batch of outcomes: what goes back one by one, the acks of a settled prefix as one, all in one write.
func (p *post) flush(batch []outcome) {
	p.ses.stream.hold()
	defer p.ses.stream.release()
	acks := batch[:0]
	for _, o := range batch {
		if o.requeue {
			o.report(p.putBack(o.tag))
			continue
		}
		p.ledger.settle(o.tag)
		acks = append(acks, o)
	}
	upTo := p.ledger.multiple(acks)
	var all error
	if upTo > 0 {
		all = lostBy(p.ch.Ack(upTo, true))
	}
	for _, o := range acks {
		if o.tag <= upTo {
			o.report(all)
		} else {
			o.report(lostBy(p.ch.Ack(o.tag, false)))
		}
	}
}

// putBack nacks one message, unless it may wait for the end of the channel.
func (p *post) putBack(tag uint64) error {
	select {
	case <-p.keep:
		return nil
	default:
	}
	p.ledger.settle(tag)
	return lostBy(p.ch.Nack(tag, false, true))
}

func lostBy(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", transport.ErrDeliveryLost, err)
	}
	return nil
}

// giveBack returns a message that was not handed out.
func (p *post) giveBack(tag uint64) { p.settle(outcome{tag: tag, requeue: true}) }

// cancelConsumer ends the flow of deliveries and gives back those that are still in the client library.
func (p *post) cancelConsumer(tag string, deliveries <-chan amqp.Delivery) {
	if err := p.ch.Cancel(tag, false); err != nil {
		return
	}
	for d := range deliveries {
		p.giveBack(d.DeliveryTag)
	}
}

// drain waits until every outcome was sent.
func (p *post) drain() {
	p.mu.Lock()
	p.draining = true
	p.mu.Unlock()
	p.signal()
	select {
	case <-p.drained:
	case <-p.ctx.Done():
	case <-p.t.ctx.Done():
	}
}

// delivery implements [transport.Delivery].
type delivery struct {
	post         *post
	tag          uint64
	msg          *message.Message
	redeliveries int
	settled      atomic.Bool
}

// delivery makes a delivery of d. The caller has reserved its place, which release frees when it is settled.
func (p *post) delivery(d *amqp.Delivery) *delivery {
	msg, before := p.t.message(d)
	msg.SetContext(p.ctx)
	return &delivery{post: p, tag: d.DeliveryTag, msg: msg, redeliveries: before}
}

func (d *delivery) Message() *message.Message { return d.msg }

func (d *delivery) Redeliveries() int { return d.redeliveries }

func (d *delivery) Settle(o transport.Outcome, done func(error)) {
	if d.settled.Swap(true) {
		outcome{done: done}.report(transport.ErrDeliveryLost)
		return
	}
	d.post.settle(outcome{tag: d.tag, requeue: o == transport.Requeue, done: done, out: true})
}
