package memorytransport

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

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

// Transport is one connection, so to speak, to a [Broker]. Its methods may be called from many goroutines at once.
type Transport struct {
	broker  *Broker
	closing chan struct{}
	release func() // gives a named broker back

	// The broker's lock guards these.
	closed       bool
	consumptions map[*consumption]struct{}
	browsing     *consumption // holds what Take took
}

// New returns a transport on a broker of its own.
func New(opts ...Option) *Transport { return NewBroker(opts...).Open() }

// Capabilities says that the broker does everything by itself and keeps nothing beyond the process.
func (*Transport) Capabilities() transport.Capabilities {
	return transport.Capabilities{
		System:         "in_memory",
		Durable:        transport.None,
		Groups:         transport.Native,
		StandingGroups: transport.Native,
		Redelivery:     transport.Native,
		Target:         transport.Native,
		Delay:          transport.Native,
		TTL:            transport.Native,
		Order:          transport.Native,
		DeadLetter:     transport.Native,
		Mandatory:      transport.Native,
		Settlement:     transport.Native,
		Broadcast:      transport.Native,
		Reply:          transport.Native,
	}
}

// Publisher returns a Watermill publisher.
func (t *Transport) Publisher() message.Publisher { return transport.NewPublisher(t) }

// Subscriber returns a Watermill subscriber for s.
func (t *Transport) Subscriber(s transport.Subscription) (message.Subscriber, error) {
	return transport.NewSubscriber(t, s), nil
}

// Declare makes the queues and bindings of s.
func (t *Transport) Declare(_ context.Context, s transport.Subscription) error {
	if err := s.Validate(); err != nil {
		return err
	}
	t.broker.mu.Lock()
	defer t.broker.mu.Unlock()
	if t.closed {
		return fmt.Errorf("declare queue %q: the transport is %w", s.Queue(), transport.ErrClosed)
	}
	_, err := t.broker.declare(s)
	return err
}

// Consume declares s and hands its messages to receive: from the goroutine that sends or settles, or from one that
// goes on for it.
func (t *Transport) Consume(_ context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	b := t.broker
	b.mu.Lock()
	if t.closed {
		b.mu.Unlock()
		return nil, fmt.Errorf("consume queue %q: the transport is %w", s.Queue(), transport.ErrClosed)
	}
	own, err := b.declare(s)
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	c := newConsumption(t, s, receive)
	t.consumptions[c] = struct{}{}
	// What still waits under an old name of the group is older.
	for _, alias := range s.GroupAliases {
		if old := b.queues[transport.QueueName(s.Topic, alias)]; old != nil {
			c.queues = append(c.queues, old)
		}
	}
	c.queues = append(c.queues, own)
	for _, q := range c.queues {
		q.consumers = append(q.consumers, c)
	}
	runs := c.restart(nil)
	b.mu.Unlock()
	// The caller may not be ready to receive before Consume has returned.
	if len(runs) > 0 {
		go runAll(runs)
	}
	return c, nil
}

// Report returns nil, or [transport.ErrClosed] after Close.
func (t *Transport) Report() error {
	t.broker.mu.Lock()
	defer t.broker.mu.Unlock()
	if t.closed {
		return fmt.Errorf("the memory transport is %w", transport.ErrClosed)
	}
	return nil
}

// Queues describes queues by name, or all of them.
func (t *Transport) Queues(_ context.Context, names ...string) ([]transport.QueueInfo, error) {
	if err := t.Report(); err != nil {
		return nil, err
	}
	return t.broker.describe(names), nil
}

// Take takes up to limit messages off a queue, whatever its consumers do.
func (t *Transport) Take(_ context.Context, name string, limit int) ([]transport.Delivery, error) {
	b := t.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("take from queue %q: the transport is %w", name, transport.ErrClosed)
	}
	q := b.queues[name]
	if q == nil {
		return nil, fmt.Errorf("take from queue %q: it does not exist: %w", name, transport.ErrUnroutable)
	}
	if t.browsing == nil {
		t.browsing = newConsumption(t, transport.Subscription{}, nil)
		t.consumptions[t.browsing] = struct{}{}
	}
	var taken []transport.Delivery
	for len(taken) < limit {
		it := q.pop()
		if it == nil {
			break
		}
		d := new(delivery)
		t.browsing.hold(it, d)
		d.open()
		taken = append(taken, d)
	}
	return taken, nil
}

// Close puts back what the transport's consumptions hold and ends its waiting sends.
func (t *Transport) Close(ctx context.Context) error {
	b := t.broker
	b.mu.Lock()
	first := !t.closed
	t.closed = true
	open := make([]*consumption, 0, len(t.consumptions))
	for c := range t.consumptions {
		open = append(open, c)
	}
	b.mu.Unlock()
	if first {
		close(t.closing)
	}
	errs := make([]error, 0, len(open))
	for _, c := range open {
		errs = append(errs, c.Close(ctx))
	}
	if first && t.release != nil {
		t.release()
	}
	return errors.Join(errs...)
}
