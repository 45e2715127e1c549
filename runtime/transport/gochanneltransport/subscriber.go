package gochanneltransport

import (
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// subscriber lets calls of Subscribe that cannot end on their own share one channel for each topic. A channel that
// its reader has left would otherwise hold messages of the group until Close; gochannel's own subscribers hide that,
// because each of them gets every message.
type subscriber struct {
	message.Subscriber
	message.SubscribeInitializer

	transport *Transport

	mu     sync.Mutex
	shared map[string]<-chan *message.Message
	closed bool
}

func newSubscriber(t *Transport, s transport.Subscription) *subscriber {
	plain := transport.NewSubscriber(t, s)
	// It is an initializer because the transport is a Declarer.
	initializer, _ := plain.(message.SubscribeInitializer)
	return &subscriber{transport: t, Subscriber: plain, SubscribeInitializer: initializer, shared: make(map[string]<-chan *message.Message)}
}

// Subscribe attaches to the group. Calls for one topic with context.Background return the same channel.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if ctx != context.Background() {
		return s.Subscriber.Subscribe(ctx, topic)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if messages, there := s.shared[topic]; there && !s.closed && s.transport.Report() == nil {
		return messages, nil
	}
	messages, err := s.Subscriber.Subscribe(ctx, topic)
	if err == nil {
		s.shared[topic] = messages
	}
	return messages, err
}

// Close closes every channel.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.Subscriber.Close()
}
