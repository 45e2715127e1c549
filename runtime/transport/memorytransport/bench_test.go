package memorytransport_test

import (
	"context"
	"maps"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// BenchmarkSend sends messages of 1 KiB to a receiver that acks in place.
func BenchmarkSend(b *testing.B) {
	for name, metadata := range map[string]message.Metadata{
		"plain":         nil,
		"four metadata": {"ce-id": "1", "ce-type": "t", "ce-source": "s", "async-created-at": "0"},
	} {
		b.Run(name, func(b *testing.B) {
			tr := memorytransport.New()
			received := 0
			_, err := tr.Consume(b.Context(), transport.Subscription{Topic: "t", Group: "g", Concurrency: 16}, func(d transport.Delivery) {
				received++
				d.Settle(transport.Ack, nil)
			})
			if err != nil {
				b.Fatal(err)
			}
			ctx, payload := context.Background(), make([]byte, 1024)
			p := transport.Publication{Topic: "t"}
			done := func(err error) {
				if err != nil {
					b.Error(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				msg := message.NewMessage("1", payload)
				maps.Copy(msg.Metadata, metadata)
				if err := tr.Send(ctx, p, msg, done); err != nil {
					b.Fatal(err)
				}
			}
			if received != b.N {
				b.Errorf("%d of %d messages arrived", received, b.N)
			}
			if err := tr.Close(ctx); err != nil {
				b.Error(err)
			}
		})
	}
}

// BenchmarkPair publishes and subscribes as a Watermill user does, over ours and over Watermill's gochannel.
func BenchmarkPair(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		tr := memorytransport.New()
		sub, err := tr.Subscriber(transport.Subscription{Group: "g", Concurrency: 16})
		if err != nil {
			b.Fatal(err)
		}
		benchmarkPair(b, tr.Publisher(), sub)
		if err := tr.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	b.Run("watermill gochannel", func(b *testing.B) {
		ch := gochannel.NewGoChannel(gochannel.Config{}, nil)
		benchmarkPair(b, ch, ch)
	})
}

func benchmarkPair(b *testing.B, pub message.Publisher, sub message.Subscriber) {
	b.Helper()
	messages, err := sub.Subscribe(context.Background(), "t")
	if err != nil {
		b.Fatal(err)
	}
	received := make(chan struct{})
	go func() {
		for msg := range messages {
			msg.Ack()
			received <- struct{}{}
		}
	}()
	payload := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if err := pub.Publish("t", message.NewMessage("1", payload)); err != nil {
			b.Fatal(err)
		}
		<-received
	}
	if err := sub.Close(); err != nil {
		b.Error(err)
	}
}
