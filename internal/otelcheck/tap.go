package otelcheck

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// Tap is a transport that notes what it carries.
type Tap struct {
	transport.Transport

	// ConfirmAfter delays the answer to every send. With Hold no answer comes before the close.
	ConfirmAfter time.Duration
	Hold         bool

	sender   transport.Sender
	consumer transport.Consumer

	mu             sync.Mutex
	sent, received []Wire
	settled        int
	held           []func(error)
	answered       map[string]time.Time
}

var (
	_ transport.Sender    = (*Tap)(nil)
	_ transport.Consumer  = (*Tap)(nil)
	_ transport.Declarer  = (*Tap)(nil)
	_ transport.Describer = (*Tap)(nil)
)

// NewTap taps t.
func NewTap(t transport.Transport) *Tap {
	return &Tap{Transport: t, sender: transport.SenderOf(t), consumer: transport.ConsumerOf(t)}
}

// Send implements [transport.Sender].
func (t *Tap) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	t.mu.Lock()
	t.sent = append(t.sent, Wire{Publication: p, Metadata: maps.Clone(msg.Metadata), Payload: string(msg.Payload)})
	t.mu.Unlock()
	if !p.Direct && p.Group == "" {
		done = t.noting(msg.Metadata[transport.MetaID], done)
	}
	switch {
	case t.Hold:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.held = append(t.held, done)
		return nil
	case t.ConfirmAfter == 0:
		return t.sender.Send(ctx, p, msg, done)
	}
	return t.sender.Send(ctx, p, msg, func(err error) { time.AfterFunc(t.ConfirmAfter, func() { done(err) }) })
}

// noting notes when the answer to the sending of a message is given to whoever has sent it.
func (t *Tap) noting(id string, done func(error)) func(error) {
	return func(err error) {
		now := time.Now()
		t.mu.Lock()
		if t.answered == nil {
			t.answered = make(map[string]time.Time)
		}
		t.answered[id] = now
		t.mu.Unlock()
		done(err)
	}
}

// Close gives up what was held, and closes.
func (t *Tap) Close(ctx context.Context) error {
	t.mu.Lock()
	held := t.held
	t.held = nil
	t.mu.Unlock()
	for _, done := range held {
		done(fmt.Errorf("the transport was closed: %w", transport.ErrUnknown))
	}
	return t.Transport.Close(ctx)
}

// Consume implements [transport.Consumer].
func (t *Tap) Consume(ctx context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	return t.consumer.Consume(ctx, s, func(d transport.Delivery) {
		msg := d.Message()
		t.mu.Lock()
		t.received = append(t.received, Wire{Metadata: maps.Clone(msg.Metadata), Payload: string(msg.Payload), Redelivered: d.Redeliveries() > 0, At: time.Now()})
		t.mu.Unlock()
		tapped := &tappedDelivery{Delivery: d, tap: t, counted: s.Kind != transport.KindReply}
		if tagged, ok := d.(transport.Tagged); ok {
			receive(taggedDelivery{tapped, tagged})
			return
		}
		receive(tapped)
	})
}

// Declare implements [transport.Declarer].
func (t *Tap) Declare(ctx context.Context, s transport.Subscription) error {
	if d, ok := t.Transport.(transport.Declarer); ok {
		return d.Declare(ctx, s)
	}
	return nil
}

// Server implements [transport.Describer].
func (t *Tap) Server() (address string, port int) {
	if d, ok := t.Transport.(transport.Describer); ok {
		return d.Server()
	}
	return "", 0
}

// SendDestination implements [transport.Describer].
func (t *Tap) SendDestination(p transport.Publication) transport.Destination {
	return transport.DescribeSend(t.Transport, p)
}

// ReceiveDestination implements [transport.Describer].
func (t *Tap) ReceiveDestination(s transport.Subscription, routingKey string) transport.Destination {
	return transport.DescribeReceive(t.Transport, s, routingKey)
}

// Fill copies what was noted so far into c.
func (t *Tap) Fill(c *Capture) {
	t.mu.Lock()
	defer t.mu.Unlock()
	caps := t.Capabilities()
	c.System, c.Reports = caps.System, caps.Settlement == transport.Native
	if c.Answered == nil {
		c.Answered = make(map[string]time.Time, len(t.answered))
	}
	maps.Copy(c.Answered, t.answered)
	c.Sent, c.Received, c.Settled = append(c.Sent, t.sent...), append(c.Received, t.received...), c.Settled+t.settled
}

type tappedDelivery struct {
	transport.Delivery

	tap     *Tap
	counted bool // a reply is taken without a handler: nobody settles it but the runtime for itself
}

func (d *tappedDelivery) Settle(o transport.Outcome, done func(error)) {
	d.Delivery.Settle(o, func(err error) {
		if d.counted {
			d.tap.mu.Lock()
			d.tap.settled++
			d.tap.mu.Unlock()
		}
		if done != nil {
			done(err)
		}
	})
}

type taggedDelivery struct {
	*tappedDelivery
	transport.Tagged
}
