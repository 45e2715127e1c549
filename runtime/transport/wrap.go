package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// WrapOption changes what [Wrap] makes.
type WrapOption interface{ applyWrap(*wrapped) }

type wrapOptionFunc func(*wrapped)

func (f wrapOptionFunc) applyWrap(w *wrapped) { f(w) }

// WithCapabilities declares what is known of the wrapped pair and its broker, in place of the defaults of [Wrap]. A
// capability that is declared and not there breaks promises in silence: transporttest proves them. With Target, every
// subscription also subscribes to the topic that is called as its queue (see [QueueName]); with Groups, the subscribers
// of one [Subscription] share its messages by its Group. Delay cannot be declared, since a Watermill publisher has no
// place for it.
func WithCapabilities(c Capabilities) WrapOption {
	return wrapOptionFunc(func(w *wrapped) { w.capabilities = c })
}

// WithCloseFunc is called at the end of Close, to free what the pair shares: its connection. By default there is
// nothing to free.
func WithCloseFunc(free func(ctx context.Context) error) WrapOption {
	return wrapOptionFunc(func(w *wrapped) { w.free = free })
}

// Wrap makes any Watermill pair a [Transport] with [Sender], [Consumer] and [Declarer].
//
// newSubscriber is called for each subscription, with the physical names in it; where its broker has groups, it puts
// s.Group in the place where the broker wants it. It must return a new subscriber each time: that is closed with its
// consumption, and the publisher with the transport. Aliases are subscribed to as topics of their own, and so are
// reply addresses, which come with [KindReply] and without a group. Declare initializes the topics of subscribers that
// are a [message.SubscribeInitializer].
//
// By default the pair is taken to be able to do nothing but carry messages: every capability is [None], except for
// Reply and DeadLetter, which are [Emulated]: replies and dead letters are published to topics of their names, and whether
// those are kept for a later subscriber is the wrapped broker's matter. [WithCapabilities] declares more. Its System is "watermill" unless that says otherwise.
func Wrap(p message.Publisher, newSubscriber func(Subscription) (message.Subscriber, error), opts ...WrapOption) Transport {
	w := &wrapped{
		capabilities: Capabilities{Reply: Emulated, DeadLetter: Emulated},
		free:         func(context.Context) error { return nil },
		publisher:    p,
	}
	for _, o := range opts {
		o.applyWrap(w)
	}
	if w.capabilities.System == "" {
		w.capabilities.System = "watermill"
	}
	w.capabilities.Delay = None
	w.sender = newPairSender(p, w.capabilities)
	w.consumer = newPairConsumer(newSubscriber, w.capabilities)
	return w
}

type wrapped struct {
	publisher    message.Publisher
	capabilities Capabilities
	free         func(context.Context) error
	sender       *pairSender
	consumer     *pairConsumer

	closing sync.Once
	err     error
}

// Capabilities returns what was declared.
func (w *wrapped) Capabilities() Capabilities { return w.capabilities }

// Publisher returns a publisher over Send, whose Close leaves the wrapped one alone.
func (w *wrapped) Publisher() message.Publisher { return NewPublisher(w) }

// Subscriber returns a subscriber over Consume.
func (w *wrapped) Subscriber(s Subscription) (message.Subscriber, error) {
	if err := w.consumer.refuse(s); err != nil {
		return nil, err
	}
	return NewSubscriber(w, s), nil
}

// Send publishes through the wrapped publisher.
func (w *wrapped) Send(ctx context.Context, p Publication, msg *message.Message, done func(error)) error {
	return w.sender.Send(ctx, p, msg, done)
}

// Consume subscribes through a wrapped subscriber.
func (w *wrapped) Consume(ctx context.Context, s Subscription, receive func(Delivery)) (Consumption, error) {
	return w.consumer.Consume(ctx, s, receive)
}

// Declare calls SubscribeInitialize for every topic of s, on a subscriber that has it.
func (w *wrapped) Declare(_ context.Context, s Subscription) error { return w.consumer.declare(s) }

// Close ends the consumptions and the sends, then closes the publisher.
func (w *wrapped) Close(ctx context.Context) error {
	w.closing.Do(func() {
		w.err = errors.Join(w.consumer.close(ctx), w.sender.close(ctx), w.closePublisher(ctx), w.free(ctx))
		if w.err != nil {
			w.err = fmt.Errorf("close the transport %s: %w", w.capabilities.System, w.err)
		}
	})
	return w.err
}

// closePublisher leaves a Close that waits for anything to finish by itself when ctx ends first.
func (w *wrapped) closePublisher(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() { closed <- w.publisher.Close() }()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
