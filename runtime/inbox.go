package async

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/asyncpb/async/runtime/transport"
)

// inbox is the reply subscription of a runtime on one transport: one for all calls, opened by the first.
type inbox struct {
	link    *link
	opened  declaration
	address string

	mu    sync.Mutex
	calls map[string]*callState
	feed  transport.Consumption
	late  func()
}

// inboxPrefetch bounds the replies that were handed out; they are settled at once.
const inboxPrefetch = 1024

func (b *inbox) init(l *link) {
	b.link, b.opened, b.calls = l, newDeclaration(), make(map[string]*callState)
}

func (b *inbox) open(ctx context.Context, rt *Runtime) error {
	return b.opened.do(ctx, func() error {
		b.address = rt.physical("async.reply." + rt.instance)
		b.late = func() { rt.counters.lateReplies.Add(1) }
		feed, err := b.link.consumer.Consume(ctx, transport.Subscription{
			Topic: b.address, Kind: transport.KindReply, Concurrency: 1, Prefetch: inboxPrefetch,
		}, b.receive)
		if err != nil {
			return err
		}
		b.mu.Lock()
		b.feed = feed
		b.mu.Unlock()
		return nil
	})
}

// expect gives the call a fresh correlation id and waits for it.
func (b *inbox) expect(s *callState) {
	s.correlationID, s.replyTo = uuid.NewString(), b.address
	b.mu.Lock()
	b.calls[s.correlationID] = s
	b.mu.Unlock()
}

func (b *inbox) forget(s *callState) {
	b.mu.Lock()
	delete(b.calls, s.correlationID)
	b.mu.Unlock()
}

// receive hands a reply to its call. A reply that nobody waits for came too late, or twice: it is dropped and counted.
func (b *inbox) receive(d transport.Delivery) {
	msg := d.Message()
	id := msg.Metadata[transport.MetaCorrelationID]
	b.mu.Lock()
	s := b.calls[id]
	delete(b.calls, id)
	b.mu.Unlock()
	if s == nil {
		b.late()
	} else {
		s.receive(d)
	}
	d.Settle(transport.Ack, nil)
}

// close ends every call that still waits and the subscription.
func (b *inbox) close(ctx context.Context) error {
	b.mu.Lock()
	feed := b.feed
	b.feed = nil
	var open []*callState
	for _, s := range b.calls {
		open = append(open, s)
	}
	b.mu.Unlock()
	for _, s := range open {
		s.resolve(nil, nil, NewError(CodeUnavailable, "the runtime was shut down before the reply: %w", ErrClosed))
	}
	if feed == nil {
		return nil
	}
	return feed.Close(ctx)
}
