package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// closeTimeout bounds what a subscription does at the broker when it ends.
const closeTimeout = 10 * time.Second

// Ender is an optional ability of a [Consumption]: it tells when the consumption has ended for good without its
// Close, as at the close of its transport. [NewSubscriber] then closes its output channel.
type Ender interface {
	// Ended is closed when receive will not be called again.
	Ended() <-chan struct{}
}

// NewSubscriber makes a Watermill subscriber of a [Consumer].
//
// Each Subscribe consumes what s describes with the given topic in place of s.Topic. Messages come on an unbuffered
// channel; Ack settles with [Ack] and Nack with [Requeue]. An ordered subscription, and one that may have a single
// delivery in flight (see [Subscription.InFlight]), emits the next message when the last one is settled; otherwise up
// to that many messages are out at once. Kind zero is [KindEvent].
//
// A message's context carries the values of Subscribe's and ends at Ack or Nack, when Subscribe's context ends, at
// Close, and when the delivery is lost. A lost one counts as out until its Ack or Nack, which nobody hears. The channel is closed when Subscribe's context ends, at Close, or when the
// transport closes; what is not settled by then goes back to the broker. Close ends every subscription, waits for
// them, and is idempotent; it does not close the consumer. The subscriber may be used from many goroutines at once.
//
// When c is a [Declarer], the subscriber is a [message.SubscribeInitializer] that declares the queue.
func NewSubscriber(c Consumer, s Subscription) message.Subscriber {
	if s.Kind == 0 {
		s.Kind = KindEvent
	}
	// Watermill's middlewares write to metadata.
	s.ReadOnly = false
	sub := &subscriber{consumer: c, subscription: s, closing: make(chan struct{})}
	if d, ok := c.(Declarer); ok {
		return &declaringSubscriber{subscriber: sub, declarer: d}
	}
	return sub
}

type declaringSubscriber struct {
	*subscriber
	declarer Declarer
}

// SubscribeInitialize declares the queue, so that it collects messages before the first Subscribe.
func (s *declaringSubscriber) SubscribeInitialize(topic string) error {
	subscription := s.subscription
	subscription.Topic = topic
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.declarer.Declare(ctx, subscription)
}

type subscriber struct {
	consumer     Consumer
	subscription Subscription

	mu      sync.Mutex
	closed  bool
	closing chan struct{}
	running sync.WaitGroup
}

// Subscribe starts to consume topic.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, fmt.Errorf("subscribe to %q: the subscriber is %w", topic, ErrClosed)
	}
	s.running.Add(1)
	s.mu.Unlock()

	subscription := s.subscription
	subscription.Topic = topic
	if subscription.Ordered {
		subscription.Concurrency, subscription.Prefetch = 1, 1
	}
	f := newFeed(ctx, subscription.InFlight())
	consumption, err := s.consumer.Consume(ctx, subscription, f.receive)
	if err != nil {
		s.running.Done()
		f.cancel(err)
		return nil, fmt.Errorf("subscribe to %q: %w", topic, err)
	}
	var ended <-chan struct{}
	if e, ok := consumption.(Ender); ok {
		ended = e.Ended()
	}
	go func() {
		defer s.running.Done()
		select {
		case <-ctx.Done():
		case <-s.closing:
		case <-ended:
		}
		f.end(consumption)
	}()
	return f.out, nil
}

// Close ends every subscription and waits until their channels are closed.
func (s *subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// feed carries the deliveries of one Subscribe to its output channel. It has as many workers as there are
// deliveries in flight, started when they are first needed: each emits one message and waits for its Ack or Nack.
type feed struct {
	ctx    context.Context //nolint:containedctx // it is handed to every message, as Watermill's contract asks
	cancel context.CancelCauseFunc
	out    chan *message.Message
	in     chan Delivery

	mu      sync.Mutex
	closed  bool
	open    int // deliveries received and not yet finished
	workers int
	done    sync.WaitGroup
}

func newFeed(ctx context.Context, inFlight int) *feed {
	f := &feed{out: make(chan *message.Message), in: make(chan Delivery, inFlight)}
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	return f
}

// receive takes a delivery from the consumer. One that comes while the feed ends is left alone: the close of the
// consumption gives it back.
func (f *feed) receive(d Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.open++
	// A worker may wait for a very long time for its message to be settled, so every open delivery has one.
	if f.open > f.workers && f.workers < cap(f.in) {
		f.workers++
		f.done.Go(f.work)
	}
	f.in <- d
}

func (f *feed) work() {
	for {
		select {
		case d := <-f.in:
			f.emit(d)
		case <-f.ctx.Done():
			return
		}
	}
}

// emit hands one message out and settles it.
func (f *feed) emit(d Delivery) {
	msg := d.Message()
	lost := msg.Context()
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	msg.SetContext(ctx)
	select {
	case <-f.ctx.Done():
		f.finish()
		return
	default:
	}
	select {
	case f.out <- msg:
	case <-f.ctx.Done():
		f.finish()
		return
	case <-lost.Done():
		f.finish()
		d.Settle(Requeue, nil)
		return
	}
	select {
	case <-msg.Acked():
	case <-msg.Nacked():
	case <-lost.Done():
		// Its handler may still be at work, and counts until it has returned.
		cancel(context.Cause(lost))
		select {
		case <-msg.Acked():
		case <-msg.Nacked():
		case <-f.ctx.Done():
		}
	case <-f.ctx.Done():
	}
	// The place is given up before the broker hears of it, or the next delivery could find no worker. And an
	// Ack that came together with the end still counts.
	f.finish()
	select {
	case <-msg.Acked():
		d.Settle(Ack, nil)
	case <-msg.Nacked():
		d.Settle(Requeue, nil)
	default:
	}
}

func (f *feed) finish() {
	f.mu.Lock()
	f.open--
	f.mu.Unlock()
}

// end stops the flow, lets the workers pass on what was settled, gives the rest back, and closes the output.
func (f *feed) end(c Consumption) {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel(errSubscriptionEnded)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// An error of either is the broker's to mend: it takes unsettled messages back when the connection ends.
	_ = c.Stop(ctx)
	f.done.Wait()
	_ = c.Close(ctx)
	close(f.out)
}

var errSubscriptionEnded = errors.New("the subscription has ended")
