package transporttest

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// pair is the small proof of the plain Watermill pair; the great one is Watermill's own suite.
var pair = []test{
	{"a published message is subscribed to", func(t *testing.T, s *stage) {
		sub, err := s.receiver.Subscriber(transport.Subscription{Group: "g", Concurrency: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closePair(t, sub) })
		messages, err := sub.Subscribe(t.Context(), s.topic)
		if err != nil {
			t.Fatal(err)
		}
		sent := s.message()
		if err := s.sender.Publisher().Publish(s.topic, sent); err != nil {
			t.Fatal(err)
		}
		first := receiveOne(t, messages)
		first.Nack()
		again := receiveOne(t, messages)
		again.Ack()
		for _, msg := range []*message.Message{first, again} {
			if msg.UUID != sent.UUID {
				t.Errorf("got %q, want %q", msg.UUID, sent.UUID)
			}
			select {
			case <-msg.Context().Done():
			case <-time.After(patience):
				t.Error("a message's context did not end when it was settled")
			}
		}
	}},
	{"the channel closes with the context, the subscriber and the transport", func(t *testing.T, s *stage) {
		ctx, cancel := context.WithCancel(t.Context())
		for _, end := range []func(message.Subscriber){
			func(message.Subscriber) { cancel() },
			func(sub message.Subscriber) { closePair(t, sub) },
			func(message.Subscriber) {
				if err := s.receiver.Close(context.Background()); err != nil {
					t.Errorf("close: %v", err)
				}
			},
		} {
			sub, err := s.receiver.Subscriber(transport.Subscription{Group: "g"})
			if err != nil {
				t.Fatal(err)
			}
			messages, err := sub.Subscribe(ctx, s.topic)
			if err != nil {
				t.Fatal(err)
			}
			end(sub)
			select {
			case _, open := <-messages:
				if open {
					t.Error("a message came where none was sent")
				}
			case <-time.After(patience):
				t.Fatal("the channel did not close")
			}
			closePair(t, sub)
			_, err = sub.Subscribe(t.Context(), s.topic)
			wantError(t, "subscribe after close", err, transport.ErrClosed)
			ctx = t.Context()
		}
	}},
	{"a closed publisher publishes no more and leaves the transport open", func(t *testing.T, s *stage) {
		p := s.sender.Publisher()
		for range 2 {
			if err := p.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		wantError(t, "publish after close", p.Publish(s.topic, s.message()), transport.ErrClosed)
		if err := s.sender.Publisher().Publish(s.topic, s.message(), s.message()); err != nil {
			t.Errorf("another publisher: %v", err)
		}
	}},
	{"publishing nothing or to nowhere is told apart", func(t *testing.T, s *stage) {
		p := s.sender.Publisher()
		if err := p.Publish(s.topic); err != nil {
			t.Errorf("no message: %v", err)
		}
		if err := p.Publish("", s.message()); err == nil {
			t.Error("no topic: no error")
		}
		if err := p.Publish(s.topic, s.message(), nil); err == nil {
			t.Error("a nil message: no error")
		}
	}},
}

func receiveOne(t *testing.T, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, open := <-messages:
		if !open {
			t.Fatal("the channel closed")
		}
		return msg
	case <-time.After(patience):
		t.Fatalf("no message in %v", patience)
	}
	return nil
}

func closePair(t *testing.T, sub message.Subscriber) {
	t.Helper()
	if err := sub.Close(); err != nil {
		t.Errorf("close the subscriber: %v", err)
	}
}
