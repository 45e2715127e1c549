package amqptransport_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// TestAConsumerWithoutAnAnswerIsAskedForElsewhere plays a quorum queue without a leader. RabbitMQ waits a minute for one and then ends
// the connection, with what all others have in their hands: so it is asked only once on theirs.
func TestAConsumerWithoutAnAnswerIsAskedForElsewhere(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	c := p.config(t)
	c.Options["heartbeat"] = "1s"
	tr, well, ill := openConfig(t, c), subscription(t), subscription(t)
	deliveries, _ := consume(t, tr, well)
	mustSend(t, tr, transport.Publication{Topic: well.Topic, Mandatory: true}, newMessage("held while the other one is asked for"))
	held := await(t, deliveries, "the message")
	p.leave(true)
	greeted := p.hangUp(false)

	type outcome struct {
		consumption transport.Consumption
		err         error
	}
	late, outcomes := make(chan transport.Delivery, 1), make(chan outcome, 1)
	go func() {
		opened, err := tr.Consume(context.Background(), ill, func(d transport.Delivery) { late <- d })
		outcomes <- outcome{opened, err}
	}()
	eventually(t, "the broker is asked three times", func() bool { return p.unanswered() >= 3 })
	if err := tr.Report(); err == nil || !strings.Contains(err.Error(), "no answer") || !strings.Contains(err.Error(), ill.Topic) {
		t.Errorf("health is %v, want that the broker gives no answer, and for which queue", err)
	}
	if more := p.hangUp(false) - greeted; more < 2 {
		t.Errorf("%d more connections, want one for each time that it is asked again", more)
	}

	p.leave(false)
	began := await(t, outcomes, "the consumption")
	if began.err != nil {
		t.Fatal(began.err)
	}
	mustSend(t, tr, transport.Publication{Topic: ill.Topic, Mandatory: true}, newMessage("to the queue that has a leader again"))
	if err := settle(t, await(t, late, "its message"), transport.Ack); err != nil {
		t.Error(err)
	}
	if err := held.Message().Context().Err(); err != nil {
		t.Errorf("the other consumption was disturbed: %v", context.Cause(held.Message().Context()))
	}
	if err := settle(t, held, transport.Ack); err != nil {
		t.Error(err)
	}
	if err := tr.Report(); err != nil {
		t.Errorf("health is %v", err)
	}
	if err := began.consumption.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNobodyWaitsForAConsumerWithoutAnAnswer ends a consumption whose queue lost its leader.
func TestNobodyWaitsForAConsumerWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr, s := openConfig(t, p.config(t)), subscription(t)
	_, consumption := consume(t, tr, s)
	p.leave(true)
	p.cut()
	eventually(t, "the broker is asked", func() bool { return p.unanswered() > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := consumption.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}

	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := tr.Consume(ctx, subscription(t), func(transport.Delivery) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("consume: %v, want that its time is over", err)
	}
}
