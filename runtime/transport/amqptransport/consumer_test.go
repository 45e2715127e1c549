package amqptransport_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

func TestRedeliveredQuorumMessageIsConsumed(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	msg := newMessage("x")
	msg.Metadata.Set("user", "header")
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, msg)
	for i := range 5 {
		d := await(t, deliveries, "the message again")
		if d.Redeliveries() != i {
			t.Errorf("delivery %d says %d redeliveries", i, d.Redeliveries())
		}
		if got := d.Message().Metadata; len(got) != 1 || got["user"] != "header" {
			t.Errorf("delivery %d has the metadata %v", i, got)
		}
		if err := settle(t, d, transport.Requeue); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMessageThatNobodyFinishesEndsInTheDeadLetterQueue passes the broker's own limit, and replays the message: with
// the broker's traces on it, the broker would take it for a cycle and drop it.
func TestMessageThatNobodyFinishesEndsInTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	msg := newMessage("poison")
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, msg)
	dead := transport.DeadName(s.Topic, s.Group)
	for range 101 {
		await(t, deliveries, "the message again").Settle(transport.Requeue, nil)
	}
	eventually(t, "the message is a dead letter", func() bool { return ready(t, tr, dead) == 1 })
	letters, err := tr.Take(t.Context(), dead, 10)
	if err != nil || len(letters) != 1 {
		t.Fatalf("Take: %d letters, %v", len(letters), err)
	}
	letter := letters[0].Message()
	if letter.UUID != msg.UUID || string(letter.Payload) != "poison" || len(letter.Metadata) != 0 {
		t.Errorf("the dead letter is %q %q %v", letter.UUID, letter.Payload, letter.Metadata)
	}
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Group: s.Group, Mandatory: true}, letter)
	if err := settle(t, letters[0], transport.Ack); err != nil {
		t.Fatal(err)
	}
	d := await(t, deliveries, "the replayed message")
	if d.Redeliveries() != 0 || d.Message().UUID != msg.UUID {
		t.Errorf("replayed: %q with %d redeliveries", d.Message().UUID, d.Redeliveries())
	}
	if err := settle(t, d, transport.Ack); err != nil {
		t.Fatal(err)
	}
	if n := ready(t, tr, dead); n != 0 {
		t.Errorf("%d dead letters are left", n)
	}
}

func TestQueueDeletionGivesNoPhantom(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	for i := range 5 {
		if _, err := channel(t).QueueDelete(s.Queue(), false, false, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the queue is there and consumed again", func() bool {
			queues, err := tr.Queues(t.Context(), s.Queue())
			return err == nil && len(queues) == 1 && queues[0].Consumers == 1
		})
		payload := fmt.Sprint("after deletion ", i)
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage(payload))
		d := await(t, deliveries, "the message after the deletion")
		if got := string(d.Message().Payload); got != payload {
			t.Fatalf("got %q with the id %q, want %q", got, d.Message().UUID, payload)
		}
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeliveriesAreConcurrentAndSettledInAnyOrder(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	s.Concurrency, s.Prefetch = 4, 16
	deliveries, _ := consume(t, tr, s)
	for range 40 {
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	}
	var out []transport.Delivery
	for range 16 {
		out = append(out, await(t, deliveries, "a full prefetch"))
	}
	if n := ready(t, tr, s.Queue()); n != 24 {
		t.Errorf("%d messages wait, want 24: the prefetch is 16", n)
	}
	for _, o := range slices.Backward(out) {
		if err := settle(t, o, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	for range 24 {
		if err := settle(t, await(t, deliveries, "the rest"), transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the queue is empty", func() bool { return ready(t, tr, s.Queue()) == 0 })
}

func TestOnlyTheFirstSettleCounts(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	d := await(t, deliveries, "the message")
	if err := settle(t, d, transport.Ack); err != nil {
		t.Fatal(err)
	}
	if err := settle(t, d, transport.Requeue); !errors.Is(err, transport.ErrDeliveryLost) {
		t.Errorf("the second settlement: %v, want ErrDeliveryLost", err)
	}
	if err := tr.Report(); err != nil {
		t.Errorf("Report: %v", err)
	}
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("y"))
	if d := await(t, deliveries, "the next message"); string(d.Message().Payload) != "y" {
		t.Errorf("the channel was lost: got %q", d.Message().Payload)
	}
}

func TestLostDeliveryEndsItsContextAndComesAgain(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr := openConfig(t, p.config(t))
	s := subscription(t)
	s.Concurrency = 1
	deliveries, _ := consume(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	d := await(t, deliveries, "the message")
	p.cut()
	await(t, d.Message().Context().Done(), "the end of the delivery's context")
	if cause := context.Cause(d.Message().Context()); !errors.Is(cause, transport.ErrDeliveryLost) {
		t.Errorf("the cause is %v, want ErrDeliveryLost", cause)
	}
	if err := settle(t, d, transport.Ack); !errors.Is(err, transport.ErrDeliveryLost) {
		t.Errorf("settling the lost delivery: %v, want ErrDeliveryLost", err)
	}
	again := await(t, deliveries, "the message again")
	if again.Message().UUID != d.Message().UUID || again.Redeliveries() != 1 {
		t.Errorf("got %q with %d redeliveries", again.Message().UUID, again.Redeliveries())
	}
	if err := settle(t, again, transport.Ack); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is empty", func() bool { return ready(t, open(t), s.Queue()) == 0 })
}

func TestConnectionLossUnderConsumptionLosesNothing(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr := openConfig(t, p.config(t))
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	direct := open(t)
	const total = 2000
	for range total {
		start(t, direct, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	}
	seen := make(map[string]bool)
	for handled := 1; len(seen) < total; handled++ {
		d := await(t, deliveries, "every message")
		if d.Message().UUID == "" {
			t.Fatal("a phantom")
		}
		if handled%300 == 0 && handled <= 1500 {
			p.cut()
		}
		d.Settle(transport.Ack, func(err error) {
			if err != nil && !errors.Is(err, transport.ErrDeliveryLost) {
				t.Errorf("settle: %v", err)
			}
		})
		seen[d.Message().UUID] = true
	}
}

func TestStopWhileNobodyReadsGivesTheMessagesToOthers(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	s.Concurrency, s.Prefetch = 1, 4
	first, c := consume(t, tr, s)
	for range 20 {
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	}
	var held []transport.Delivery
	for range 4 {
		held = append(held, await(t, first, "a delivery"))
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := settle(t, held[0], transport.Ack); err != nil {
		t.Errorf("settling after Stop: %v", err)
	}
	second, _ := consume(t, open(t), s)
	for range 16 {
		if err := settle(t, await(t, second, "what the first had not been handed"), transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d := await(t, second, "what the first gave back")
		if d.Redeliveries() != 1 {
			t.Errorf("given back with %d redeliveries", d.Redeliveries())
		}
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	if err := settle(t, held[1], transport.Ack); !errors.Is(err, transport.ErrDeliveryLost) {
		t.Errorf("settling after Close: %v, want ErrDeliveryLost", err)
	}
	if len(first) != 0 {
		t.Errorf("%d deliveries came after Stop", len(first))
	}
}

func TestOldNamesAreConsumedToo(t *testing.T) {
	t.Parallel()
	tr := open(t)
	old := subscription(t)
	declare(t, tr, old)
	mustSend(t, tr, transport.Publication{Topic: old.Topic, Mandatory: true}, newMessage("left in the old group"))

	s := old
	s.Group, s.GroupAliases = "renamed", []string{old.Group, "never-there"}
	alias := subscription(t)
	s.Aliases = []string{alias.Topic}
	discard(t, []string{s.Topic}, []string{s.Group})
	deliveries, _ := consume(t, tr, s)
	if got := string(await(t, deliveries, "the old group's message").Message().Payload); got != "left in the old group" {
		t.Errorf("got %q", got)
	}
	mustSend(t, tr, transport.Publication{Topic: alias.Topic, Mandatory: true}, newMessage("to the old topic"))
	if got := string(await(t, deliveries, "the old topic's message").Message().Payload); got != "to the old topic" {
		t.Errorf("got %q", got)
	}
	if n := ready(t, tr, transport.QueueName(s.Topic, "never-there")); n != -1 {
		t.Error("the queue of a group alias was declared")
	}
}

func TestReplyAddressSurvivesAReconnect(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr := openConfig(t, p.config(t))
	address := subscription(t).Topic
	deliveries, _ := consume(t, tr, transport.Subscription{Topic: address, Kind: transport.KindReply, Concurrency: 4})
	direct := open(t)
	reply := transport.Publication{Topic: address, Direct: true, Mandatory: true}
	for _, payload := range []string{"before", "after"} {
		msg := newMessage(payload)
		msg.Metadata.Set(transport.MetaCorrelationID, "call")
		mustSend(t, direct, reply, msg)
		d := await(t, deliveries, "the reply")
		if payload == "after" && string(d.Message().Payload) == "before" {
			// The cut took the acknowledgement with it.
			d.Settle(transport.Ack, nil)
			d = await(t, deliveries, "the second reply")
		}
		if d.Message().Metadata[transport.MetaCorrelationID] != "call" || string(d.Message().Payload) != payload {
			t.Errorf("got %v %q", d.Message().Metadata, d.Message().Payload)
		}
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
		p.cut()
	}
	if _, err := channel(t).QueueDelete(address, false, false, false); err != nil {
		t.Fatal(err)
	}
}

func TestBroadcastReachesEveryProcess(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	s.Broadcast, s.Kind = true, transport.KindEvent
	var all []<-chan transport.Delivery
	for _, group := range []string{"one", "two", "three"} {
		s.Group = group
		discard(t, []string{s.Topic}, []string{group})
		deliveries, _ := consume(t, tr, s)
		all = append(all, deliveries)
	}
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	for _, deliveries := range all {
		if err := settle(t, await(t, deliveries, "the message"), transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	_, err := channel(t).QueueDeclare(s.Queue(), true, false, false, false, amqp.Table{
		amqp.QueueTypeArg: amqp.QueueTypeClassic, amqp.QueueTTLArg: int32(60_000),
	})
	if err != nil {
		t.Errorf("the queue of a broadcast is not what the documentation says: %v", err)
	}
}

func TestOrderedGroupHasOneActiveConsumer(t *testing.T) {
	t.Parallel()
	s := subscription(t)
	s.Ordered = true
	a, first := consume(t, open(t), s)
	b, _ := consume(t, open(t), s)
	tr := open(t)
	for i := range 20 {
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true, Key: "k"}, newMessage(fmt.Sprint(i)))
	}
	for i := range 10 {
		d := await(t, a, "a message at the active consumer")
		if got := string(d.Message().Payload); got != fmt.Sprint(i) {
			t.Fatalf("message %s came in place of %d", got, i)
		}
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	if len(b) != 0 {
		t.Errorf("%d messages came to the consumer that should wait", len(b))
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := 10; i < 20; i++ {
		d := await(t, b, "a message at the next consumer")
		if got := string(d.Message().Payload); got != fmt.Sprint(i) {
			t.Fatalf("message %s came in place of %d", got, i)
		}
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConsumptionEndsWithTheTransport(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	_, c := consume(t, tr, s)
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ender, ok := c.(transport.Ender)
	if !ok {
		t.Fatal("the consumption does not tell its end")
	}
	await(t, ender.Ended(), "the end of the consumption")
}
