package amqptransport_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// BenchmarkSend measures asynchronous sends of one caller, 1 KiB, to a quorum queue, up to the last confirm.
func BenchmarkSend(b *testing.B) {
	tr := open(b)
	s := subscription(b)
	declare(b, tr, s)
	p := transport.Publication{Topic: s.Topic, Mandatory: true}
	payload := []byte(strings.Repeat("x", 1<<10))
	var open sync.WaitGroup
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		open.Add(1)
		err := tr.Send(context.Background(), p, message.NewMessage("id", payload), func(err error) {
			if err != nil {
				b.Error(err)
			}
			open.Done()
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	open.Wait()
}

// BenchmarkConsume measures deliveries of 1 KiB from a quorum queue, each acknowledged by itself, prefetch 256.
func BenchmarkConsume(b *testing.B) {
	tr := open(b)
	s := subscription(b)
	s.Prefetch = 256
	declare(b, tr, s)
	payload := []byte(strings.Repeat("x", 1<<10))
	fill := func(n int) {
		var open sync.WaitGroup
		open.Add(n)
		for range n {
			err := tr.Send(context.Background(), transport.Publication{Topic: s.Topic, Mandatory: true}, message.NewMessage("id", payload),
				func(err error) {
					if err != nil {
						b.Error(err)
					}
					open.Done()
				})
			if err != nil {
				b.Fatal(err)
			}
		}
		open.Wait()
	}
	fill(b.N)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	b.ResetTimer()
	deliveries, _ := consume(b, tr, s)
	for range b.N {
		(<-deliveries).Settle(transport.Ack, nil)
	}
}
