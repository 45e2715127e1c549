package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// pairConsumer is a Consumer over Watermill subscribers.
type pairConsumer struct {
	subscriber   func(Subscription) (message.Subscriber, error)
	capabilities Capabilities

	mu      sync.Mutex
	closed  bool
	running map[*pairConsumption]struct{}
}

func newPairConsumer(sub func(Subscription) (message.Subscriber, error), c Capabilities) *pairConsumer {
	return &pairConsumer{subscriber: sub, capabilities: c, running: make(map[*pairConsumption]struct{})}
}

// Consume subscribes to every topic of s.
func (c *pairConsumer) Consume(ctx context.Context, s Subscription, receive func(Delivery)) (Consumption, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if err := c.refuse(s); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	sub, err := c.open(s)
	if err != nil {
		return nil, fmt.Errorf("consume %q: %w", s.Queue(), err)
	}
	run := &pairConsumption{
		owner:   c,
		sub:     sub,
		receive: receive,
		places:  make(chan struct{}, s.InFlight()),
		ended:   make(chan struct{}),
		open:    make(map[*pairDelivery]struct{}),
	}
	run.ctx, run.cancel = context.WithCancelCause(context.Background())
	run.flow, run.stop = context.WithCancel(run.ctx)
	if err := run.start(c.topics(s), c.lanes(s)); err != nil {
		return nil, errors.Join(fmt.Errorf("consume %q: %w", s.Queue(), err), run.Close(ctx))
	}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.running[run] = struct{}{}
	}
	c.mu.Unlock()
	if closed {
		return nil, errors.Join(fmt.Errorf("consume %q: %w", s.Queue(), ErrClosed), run.Close(ctx))
	}
	return run, nil
}

// refuse names what s asks for and the pair lacks.
func (c *pairConsumer) refuse(s Subscription) error {
	for _, want := range []struct {
		asked   bool
		what    string
		name    string
		ability Ability
	}{
		{s.Ordered, "Subscription.Ordered", "order", c.capabilities.Order},
		{s.Broadcast, "Subscription.Broadcast", "broadcast", c.capabilities.Broadcast},
		{s.Kind == KindReply, "KindReply", "reply", c.capabilities.Reply},
		{s.DeadTopic != "", "Subscription.DeadTopic", "dead letter", c.capabilities.DeadLetter},
	} {
		if want.asked && want.ability == None {
			return fmt.Errorf("consume %q: %s needs the ability %q, which the transport %s lacks: %w",
				s.Queue(), want.what, want.name, c.capabilities.System, ErrUnsupported)
		}
	}
	if len(s.GroupAliases) > 0 {
		// To subscribe under an old name would make that group again, and everything would be handled twice.
		return fmt.Errorf("consume %q: Subscription.GroupAliases cannot be followed through a Watermill subscriber; drain the old group before it is renamed: %w",
			s.Queue(), ErrUnsupported)
	}
	return nil
}

// declare initializes every topic of s where the subscriber can; others have nothing to declare.
func (c *pairConsumer) declare(s Subscription) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := c.refuse(s); err != nil {
		return err
	}
	sub, err := c.open(s)
	if err != nil {
		return fmt.Errorf("declare %q: %w", s.Queue(), err)
	}
	var errs []error
	if initializer, ok := sub.(message.SubscribeInitializer); ok {
		for _, topic := range c.topics(s) {
			errs = append(errs, initializer.SubscribeInitialize(topic))
		}
	}
	return errors.Join(append(errs, sub.Close())...)
}

// open makes a subscriber for s, which finds the aliases elsewhere: in the topics that it is asked to subscribe to.
func (c *pairConsumer) open(s Subscription) (message.Subscriber, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	s.Aliases = nil
	return c.subscriber(s)
}

// topics lists what a group listens to: its topic, the aliases, and the topic that stands for the group itself.
func (c *pairConsumer) topics(s Subscription) []string {
	topics := append([]string{s.Topic}, s.Aliases...)
	if s.Kind != KindReply && c.capabilities.Target != None {
		topics = append(topics, s.Queue())
	}
	return topics
}

// lanes is how many Watermill subscriptions read one topic. Without groups each of them would get every message.
func (c *pairConsumer) lanes(s Subscription) int {
	if c.capabilities.Groups == None || s.Ordered || s.Kind == KindReply {
		return 1
	}
	return max(s.Concurrency, 1)
}

func (c *pairConsumer) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	running := make([]*pairConsumption, 0, len(c.running))
	for run := range c.running {
		running = append(running, run)
	}
	c.mu.Unlock()
	errs := make([]error, 0, len(running))
	for _, run := range running {
		errs = append(errs, run.Close(ctx))
	}
	return errors.Join(errs...)
}

// pairConsumption reads the channels of one Watermill subscriber. A message needs a place before it is handed out, and
// has it until it is settled, so that the bound on deliveries in flight holds over all channels. It is read before it
// has one, or a channel without messages could keep the place from the others.
type pairConsumption struct {
	owner   *pairConsumer
	sub     message.Subscriber
	places  chan struct{}
	readers sync.WaitGroup
	ended   chan struct{}

	// ctx lives until Close; flow until Stop.
	ctx    context.Context //nolint:containedctx // the life of the Watermill subscriptions
	cancel context.CancelCauseFunc
	flow   context.Context //nolint:containedctx // the life of the readers
	stop   context.CancelFunc

	calls   sync.Mutex // receive is called for one delivery at a time
	receive func(Delivery)

	mu     sync.Mutex
	open   map[*pairDelivery]struct{}
	closed bool
}

func (r *pairConsumption) start(topics []string, lanes int) error {
	for _, topic := range topics {
		for range lanes {
			messages, err := r.sub.Subscribe(r.ctx, topic)
			if err != nil {
				return err
			}
			r.readers.Go(func() { r.read(messages) })
		}
	}
	go func() {
		r.readers.Wait()
		close(r.ended)
	}()
	return nil
}

func (r *pairConsumption) read(messages <-chan *message.Message) {
	for {
		select {
		case msg, ok := <-messages:
			if !ok {
				return
			}
			select {
			case r.places <- struct{}{}:
				r.deliver(msg)
			case <-r.flow.Done():
				msg.Nack()
				return
			}
		case <-r.flow.Done():
			return
		}
	}
}

func (r *pairConsumption) deliver(msg *message.Message) {
	r.calls.Lock()
	defer r.calls.Unlock()
	d := &pairDelivery{run: r, source: msg, msg: msg.Copy()}
	ctx, lose := context.WithCancelCause(context.WithoutCancel(msg.Context()))
	d.lose = lose
	d.unwatch = context.AfterFunc(msg.Context(), func() { lose(ErrDeliveryLost) })
	d.msg.SetContext(ctx)
	r.mu.Lock()
	stopped := r.flow.Err() != nil || r.closed
	r.open[d] = struct{}{}
	r.mu.Unlock()
	if stopped {
		d.Settle(Requeue, nil)
		return
	}
	r.receive(d)
}

// Ended is closed when the Watermill channels have been closed or reading was stopped.
func (r *pairConsumption) Ended() <-chan struct{} { return r.ended }

// Stop ends reading; deliveries that are out can still be settled.
func (r *pairConsumption) Stop(ctx context.Context) error {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close stops, nacks what is out, and closes the Watermill subscriber.
func (r *pairConsumption) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.stop()
	open := make([]*pairDelivery, 0, len(r.open))
	for d := range r.open {
		open = append(open, d)
	}
	clear(r.open)
	r.mu.Unlock()
	for _, d := range open {
		d.lose(ErrDeliveryLost)
		d.unwatch()
		d.source.Nack()
		<-r.places
	}
	r.cancel(ErrClosed)
	r.owner.mu.Lock()
	delete(r.owner.running, r)
	r.owner.mu.Unlock()
	// A third-party Close may wait for anything; it is left to finish by itself when ctx ends first.
	closed := make(chan error, 1)
	go func() {
		err := r.sub.Close()
		r.readers.Wait()
		closed <- err
	}()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pairDelivery is one message of a Watermill subscriber. The message that is handed out is a copy, so that Ack and
// Nack on it mean nothing.
type pairDelivery struct {
	run     *pairConsumption
	source  *message.Message
	msg     *message.Message
	lose    context.CancelCauseFunc
	unwatch func() bool
}

// Message returns the copy of the message.
func (d *pairDelivery) Message() *message.Message { return d.msg }

// Redeliveries is always 0: Watermill has no such count.
func (d *pairDelivery) Redeliveries() int { return 0 }

// Settle acks or nacks the source.
func (d *pairDelivery) Settle(o Outcome, done func(error)) {
	d.run.mu.Lock()
	_, open := d.run.open[d]
	delete(d.run.open, d)
	d.run.mu.Unlock()
	err := ErrDeliveryLost
	if open {
		d.unwatch()
		answer := d.source.Nack
		if o == Ack {
			answer = d.source.Ack
		}
		if answer() {
			err = nil
		}
		d.lose(nil)
		<-d.run.places
	}
	if done != nil {
		done(err)
	}
}
