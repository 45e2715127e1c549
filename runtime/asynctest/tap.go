package asynctest

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// metaDelivery numbers a delivery in its message's metadata, so that what the runtime sends on its behalf, and the handler
// that gets it, can be told to belong to it. It never reaches the broker.
const metaDelivery = transport.PrefixAsync + "test-delivery"

// tap is a transport in memory whose traffic the journal sees.
type tap struct {
	*memorytransport.Transport

	journal *journal
	twice   atomic.Bool
	sending atomic.Int64

	mu       sync.Mutex
	consumed []string // queues that were ever consumed
}

var (
	_ transport.Sender   = (*tap)(nil)
	_ transport.Consumer = (*tap)(nil)
)

func newTap(t *memorytransport.Transport, j *journal) *tap { return &tap{Transport: t, journal: j} }

// Publisher sends through the tap.
func (t *tap) Publisher() message.Publisher { return transport.NewPublisher(t) }

// Subscriber consumes through the tap.
func (t *tap) Subscriber(s transport.Subscription) (message.Subscriber, error) {
	return transport.NewSubscriber(t, s), nil
}

// Send stores the message, unless it is to fail.
func (t *tap) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	if err := failureIn(ctx); err != nil {
		return err
	}
	t.sending.Add(1)
	defer t.sending.Add(-1)
	number, numbered := msg.Metadata[metaDelivery]
	if numbered {
		stripped := msg.Copy()
		stripped.SetContext(msg.Context())
		delete(stripped.Metadata, metaDelivery)
		msg = stripped
	}
	return t.Transport.Send(ctx, p, msg, func(err error) {
		if err == nil {
			t.journal.stored(number, p, msg)
		}
		done(err)
	})
}

// Consume hands deliveries out through the journal.
func (t *tap) Consume(ctx context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	t.mu.Lock()
	t.consumed = append(t.consumed, s.Queue())
	for _, group := range s.GroupAliases {
		t.consumed = append(t.consumed, transport.QueueName(s.Topic, group))
	}
	t.mu.Unlock()
	// Every delivery gets its number written into its metadata.
	s.ReadOnly = false
	return t.Transport.Consume(ctx, s, func(d transport.Delivery) {
		receive(t.journal.deliver(t, s, d))
	})
}
