package amqptransport_test

import (
	"context"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

const benchPayload = 1 << 10

// BenchmarkSend measures asynchronous sends of one caller, 1 KiB, to a quorum queue, up to the last confirm.
func BenchmarkSend(b *testing.B) {
	tr := open(b)
	s := subscription(b)
	declare(b, tr, s)
	b.SetBytes(benchPayload)
	b.ReportAllocs()
	b.ResetTimer()
	fill(b, tr, s, b.N)
}

// BenchmarkSendPlain is its measure: amqp091-go alone, one channel, a window of 256.
func BenchmarkSendPlain(b *testing.B) {
	s := subscription(b)
	declare(b, open(b), s)
	ch := channel(b)
	if err := ch.Confirm(false); err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, benchPayload)
	window := make(chan *amqp.DeferredConfirmation, 256)
	b.SetBytes(benchPayload)
	b.ReportAllocs()
	b.ResetTimer()
	var confirms sync.WaitGroup
	confirms.Go(func() {
		for c := range window {
			if !c.Wait() {
				b.Error("not confirmed")
			}
		}
	})
	for range b.N {
		c, err := ch.PublishWithDeferredConfirm(s.Topic, "", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: payload})
		if err != nil {
			b.Fatal(err)
		}
		window <- c
	}
	close(window)
	confirms.Wait()
}

// BenchmarkConsume measures deliveries of 1 KiB from a quorum queue, each acknowledged by itself, prefetch 256.
func BenchmarkConsume(b *testing.B) {
	tr := open(b)
	s := subscription(b)
	s.Prefetch = 256
	declare(b, tr, s)
	fill(b, tr, s, b.N)
	b.SetBytes(benchPayload)
	b.ReportAllocs()
	b.ResetTimer()
	deliveries, _ := consume(b, tr, s)
	for range b.N {
		(<-deliveries).Settle(transport.Ack, nil)
	}
}

// BenchmarkConsumePlain is its measure: amqp091-go alone, prefetch 256, one acknowledgement for 64 messages.
func BenchmarkConsumePlain(b *testing.B) {
	tr := open(b)
	s := subscription(b)
	declare(b, tr, s)
	fill(b, tr, s, b.N)
	ch := channel(b)
	if err := ch.Qos(256, 0, false); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchPayload)
	b.ReportAllocs()
	b.ResetTimer()
	deliveries, err := ch.Consume(s.Queue(), "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		d := <-deliveries
		if i%64 == 63 || i == b.N-1 {
			if err := d.Ack(true); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// fill sends n messages and waits for their confirms.
func fill(b *testing.B, tr *amqptransport.Transport, s transport.Subscription, n int) {
	b.Helper()
	payload := make([]byte, benchPayload)
	var open sync.WaitGroup
	open.Add(n)
	done := func(err error) {
		if err != nil {
			b.Error(err)
		}
		open.Done()
	}
	p := transport.Publication{Topic: s.Topic, Mandatory: true}
	for range n {
		if err := tr.Send(context.Background(), p, message.NewMessage("id", payload), done); err != nil {
			b.Fatal(err)
		}
	}
	open.Wait()
}
