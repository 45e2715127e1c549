package gochanneltransport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/asyncpb/async/runtime/transport"
)

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Sender    = (*Transport)(nil)
	_ transport.Consumer  = (*Transport)(nil)
	_ transport.Declarer  = (*Transport)(nil)
	_ transport.Reporter  = (*Transport)(nil)
	_ transport.Browser   = (*Transport)(nil)
)

// Transport is one gochannel with its groups. Its methods may be called from many goroutines at once.
type Transport struct {
	channel    *gochannel.GoChannel
	forwarders sync.WaitGroup

	mu           sync.Mutex
	closed       bool
	queues       map[string]*queue
	listeners    map[string]int // subscriptions by topic of gochannel
	consumptions map[*consumption]struct{}
	browsing     *consumption
	timers       map[*time.Timer]struct{}
}

// New returns a transport on a gochannel of its own.
func New() *Transport {
	return &Transport{
		channel:      gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{}),
		queues:       make(map[string]*queue),
		listeners:    make(map[string]int),
		consumptions: make(map[*consumption]struct{}),
		timers:       make(map[*time.Timer]struct{}),
	}
}

func init() { transport.Register("gochannel", Open) }

// Open is the [transport.Opener] of the scheme "gochannel".
func Open(_ context.Context, c transport.Config) (transport.Transport, error) {
	if err := transport.UnknownOptions(c.Options); err != nil {
		return nil, fmt.Errorf("gochannel transport: %w", err)
	}
	if c.URL.Host != "" || c.URL.Path != "" || c.Username != "" || !c.Password.Empty() || c.TLS != nil {
		return nil, errors.New(`gochannel transport: it has no address, user, password or TLS; write "gochannel://", or "memory://<name>" for a broker that several runtimes share`)
	}
	return New(), nil
}

// Capabilities says what works inside the process and ends with the transport.
func (*Transport) Capabilities() transport.Capabilities {
	return transport.Capabilities{
		System:         "go_channel",
		Durable:        transport.None,
		Groups:         transport.Emulated,
		StandingGroups: transport.Emulated,
		Redelivery:     transport.Emulated,
		Target:         transport.Emulated,
		Delay:          transport.Emulated,
		TTL:            transport.None,
		Order:          transport.None,
		DeadLetter:     transport.Emulated,
		Mandatory:      transport.Emulated,
		Settlement:     transport.Emulated,
		Broadcast:      transport.Emulated,
		Reply:          transport.Emulated,
	}
}

// Publisher returns a Watermill publisher.
func (t *Transport) Publisher() message.Publisher { return transport.NewPublisher(t) }

// Subscriber returns a Watermill subscriber for s.
func (t *Transport) Subscriber(s transport.Subscription) (message.Subscriber, error) {
	if s.Ordered {
		return nil, ordered(s)
	}
	return newSubscriber(t, s), nil
}

func ordered(s transport.Subscription) error {
	return fmt.Errorf("subscription to %q: gochannel keeps no order; use memory:// or amqp:// for ordered messages: %w", s.Topic, transport.ErrUnsupported)
}

// check refuses what cannot be subscribed to; t.mu is held.
func (t *Transport) check(s transport.Subscription) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if s.Ordered {
		return ordered(s)
	}
	if t.closed {
		return fmt.Errorf("subscription to %q: the transport is %w", s.Topic, transport.ErrClosed)
	}
	return nil
}

// Declare makes the shared subscription of the group.
func (t *Transport) Declare(_ context.Context, s transport.Subscription) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.check(s); err != nil {
		return err
	}
	_, err := t.declare(s)
	return err
}

// Consume attaches to the shared subscription of the group.
func (t *Transport) Consume(_ context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.check(s); err != nil {
		return nil, err
	}
	q, err := t.declare(s)
	if err != nil {
		return nil, err
	}
	c := newConsumption(t, q, s.InFlight(), receive)
	q.consumers = append(q.consumers, c)
	t.consumptions[c] = struct{}{}
	if len(q.items) > 0 && c.start() {
		// The caller may not be ready to receive before Consume has returned.
		go c.run()
	}
	return c, nil
}

// Send publishes to the topic that stands for what p addresses, and calls done before it returns.
func (t *Transport) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	if p.Topic == "" {
		return errors.New("send: the topic is empty; name the topic or queue to send to")
	}
	if ctx.Err() != nil {
		return fmt.Errorf("send to %q: %w", p.Topic, context.Cause(ctx))
	}
	topic := p.Topic
	if p.Group != "" && !p.Direct {
		topic = transport.QueueName(p.Topic, p.Group)
	}
	// Gochannel copies the message but not the payload, which is the caller's again when done was called.
	sent := msg.Copy()
	sent.Payload = slices.Clone(msg.Payload)
	t.mu.Lock()
	closed, routable := t.closed, t.listeners[topic] > 0
	if !closed && routable && p.Delay > 0 {
		t.later(p.Delay, topic, sent)
	}
	t.mu.Unlock()
	switch {
	case closed:
		return t.gone(p.Topic)
	case !routable && p.Mandatory:
		done(fmt.Errorf("send to %q: %w", topic, transport.ErrUnroutable))
	case !routable || p.Delay > 0:
		done(nil)
	default:
		// Publish fails for nothing but a Close that came in between.
		if err := t.channel.Publish(topic, sent); err != nil {
			return t.gone(p.Topic)
		}
		done(nil)
	}
	return nil
}

func (t *Transport) gone(topic string) error {
	return fmt.Errorf("send to %q: the transport is %w", topic, transport.ErrClosed)
}

// later publishes msg when the delay is over, unless the transport closes before; t.mu is held.
func (t *Transport) later(delay time.Duration, topic string, msg *message.Message) {
	var timer *time.Timer
	timer = time.AfterFunc(delay, func() {
		t.mu.Lock()
		delete(t.timers, timer)
		closed := t.closed
		t.mu.Unlock()
		if !closed {
			// After a Close in between the message is as lost as all others.
			_ = t.channel.Publish(topic, msg)
		}
	})
	t.timers[timer] = struct{}{}
}

// Report returns nil, or [transport.ErrClosed] after Close.
func (t *Transport) Report() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("the gochannel transport is %w", transport.ErrClosed)
	}
	return nil
}

// Queues describes groups and dead topics by the names of their queues, or all of them.
func (t *Transport) Queues(_ context.Context, names ...string) ([]transport.QueueInfo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("list the queues: the transport is %w", transport.ErrClosed)
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(t.queues))
	}
	infos := make([]transport.QueueInfo, 0, len(names))
	for _, name := range names {
		if q := t.queues[name]; q != nil {
			infos = append(infos, transport.QueueInfo{Name: name, Ready: len(q.items), Unsettled: q.taken, Consumers: len(q.consumers)})
		}
	}
	return infos, nil
}

// Take takes up to limit messages off a queue, whatever its consumers do.
func (t *Transport) Take(_ context.Context, name string, limit int) ([]transport.Delivery, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("take from queue %q: the transport is %w", name, transport.ErrClosed)
	}
	q := t.queues[name]
	if q == nil {
		return nil, fmt.Errorf("take from queue %q: it does not exist: %w", name, transport.ErrUnroutable)
	}
	if t.browsing == nil {
		t.browsing = newConsumption(t, nil, 0, nil)
		t.consumptions[t.browsing] = struct{}{}
	}
	var taken []transport.Delivery
	for len(taken) < limit && len(q.items) > 0 {
		taken = append(taken, t.browsing.hold(q.pop()))
	}
	return taken, nil
}

// Close ends the consumptions, the delays and the gochannel, and waits for their goroutines.
func (t *Transport) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	for timer := range t.timers {
		timer.Stop()
	}
	clear(t.timers)
	open := slices.Collect(maps.Keys(t.consumptions))
	t.mu.Unlock()
	errs := make([]error, 0, len(open)+1)
	for _, c := range open {
		errs = append(errs, c.Close(ctx))
	}
	ended := make(chan error, 1)
	go func() {
		err := t.channel.Close()
		t.forwarders.Wait()
		ended <- err
	}()
	select {
	case err := <-ended:
		errs = append(errs, err)
	case <-ctx.Done():
		errs = append(errs, context.Cause(ctx))
	}
	return errors.Join(errs...)
}
