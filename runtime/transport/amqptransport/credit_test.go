package amqptransport_test

import (
	"errors"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

func TestLostDeliveriesCountUntilTheyAreSettled(t *testing.T) {
	t.Parallel()
	const prefetch, messages, cuts = 4, 8, 5
	p := newProxy(t)
	tr, direct, s := openConfig(t, p.config(t)), open(t), subscription(t)
	s.Concurrency, s.Prefetch = prefetch, prefetch
	declare(t, direct, s)
	for range messages {
		mustSend(t, direct, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	}
	deliveries, _ := consume(t, tr, s)
	held := []transport.Delivery{}
	for range prefetch {
		held = append(held, await(t, deliveries, "a delivery"))
	}
	for range cuts {
		p.cut()
		await(t, held[0].Message().Context().Done(), "the loss of the deliveries")
		eventually(t, "all messages are back", func() bool { return ready(t, direct, s.Queue()) == messages })
		eventually(t, "the next consumer has its prefetch", func() bool { return ready(t, direct, s.Queue()) == messages-prefetch })
	}
	for i, d := range held {
		if n := len(deliveries); n != 0 {
			t.Fatalf("%d deliveries more than %d are out", n, prefetch)
		}
		if err := settle(t, d, transport.Ack); !errors.Is(err, transport.ErrDeliveryLost) {
			t.Errorf("settling a lost delivery: %v", err)
		}
		held[i] = await(t, deliveries, "a delivery in place of the one that was settled")
	}
	if err := settle(t, held[0], transport.Ack); err != nil {
		t.Error(err)
	}
	await(t, deliveries, "the next delivery")
	// What is left is never settled, and Close does not wait for it.
}

func TestALostMessageOfASubscriberCountsUntilItsAck(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr, direct, s := openConfig(t, p.config(t)), open(t), subscription(t)
	s.Concurrency = 1
	subscriber, err := tr.Subscriber(s)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := subscriber.Subscribe(t.Context(), s.Topic)
	if err != nil {
		t.Fatal(err)
	}
	const total = 3
	for range total {
		mustSend(t, direct, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	}
	cut := func() {
		eventually(t, "a message is out", func() bool { return ready(t, direct, s.Queue()) == total-1 })
		p.cut()
		eventually(t, "it is back", func() bool { return ready(t, direct, s.Queue()) == total })
		eventually(t, "the next consumer has it", func() bool { return ready(t, direct, s.Queue()) == total-1 })
	}
	cut() // nobody has received it yet
	lost := await(t, messages, "a message that was lost before anybody received it")
	cut()
	await(t, lost.Context().Done(), "the end of its context")
	select {
	case <-messages:
		t.Fatal("the next message came while the lost one was being handled")
	default:
	}
	lost.Nack()
	await(t, messages, "the next message")
	// It is never acked, and Close does not wait for it.
	p.cut()
	if err := subscriber.Close(); err != nil {
		t.Error(err)
	}
}
