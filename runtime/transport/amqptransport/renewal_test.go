package amqptransport_test

import (
	"errors"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// TestAChannelThatRefusesEverythingIsReplaced plays a RabbitMQ node that looks for the leader of a queue where it died: it
// refuses every message of a channel, for as long as that channel lives.
func TestAChannelThatRefusesEverythingIsReplaced(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr, s := openConfig(t, p.config(t)), subscription(t)
	declare(t, tr, s)
	at := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, at, newMessage("while all is well"))
	p.spoil()
	if err := await(t, start(t, tr, at, newMessage("refused")), "the broker's answer"); !errors.Is(err, transport.ErrNacked) {
		t.Fatalf("a refused send: %v, want %v", err, transport.ErrNacked)
	}
	mustSend(t, tr, at, newMessage("on the next channel"))
	mustSend(t, tr, at, newMessage("on the same"))
}

// TestARefusalRepeatsNothing has many sends in flight when the first refusal comes. Each of them has one answer, and goes
// to the broker once.
func TestARefusalRepeatsNothing(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr, s := openConfig(t, p.config(t)), subscription(t)
	deliveries, _ := consume(t, tr, s)
	at := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, at, newMessage("while all is well"))
	p.spoil()
	const sends = 200
	var answers []<-chan error
	for range sends {
		answers = append(answers, start(t, tr, at, newMessage("in flight")))
	}
	for _, answer := range answers {
		if err := await(t, answer, "the broker's answer"); err != nil && !errors.Is(err, transport.ErrNacked) {
			t.Error(err)
		}
	}
	mustSend(t, tr, at, newMessage("the last"))
	seen := make(map[string]bool)
	for range sends + 2 { // the proxy's refusals are lies: the broker has everything
		d := await(t, deliveries, "a message")
		if id := d.Message().UUID; seen[id] {
			t.Errorf("message %s came twice", id)
		} else {
			seen[id] = true
		}
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAChannelThatRefusesSlowlyIsNotWaitedFor plays a node that needs long for each refusal, and answers nothing else on the
// channel meanwhile, not even its end.
func TestAChannelThatRefusesSlowlyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	c := p.config(t)
	c.Options["heartbeat"] = "1h"
	tr, s := openConfig(t, c), subscription(t)
	declare(t, tr, s)
	at := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, at, newMessage("while all is well"))
	p.silence(true)
	var answers []<-chan error
	for range 20 {
		answers = append(answers, start(t, tr, at, newMessage("in flight")))
	}
	p.holdUp()
	p.silence(false)
	refused := 0
	for _, answer := range answers {
		err := await(t, answer, "the broker's answer")
		switch {
		case errors.Is(err, transport.ErrNacked):
			refused++
		case err != nil:
			t.Error(err)
		default:
		}
	}
	if refused != 1 {
		t.Errorf("%d sends were refused, want 1", refused)
	}
}

// TestAFullQueueCostsFewChannels: a new channel is refused as well, so that replacing it at every refusal would only be a
// burden.
func TestAFullQueueCostsFewChannels(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr, s := openConfig(t, p.config(t)), subscription(t)
	declare(t, tr, s)
	at := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, at, newMessage("while there is room"))
	p.refuseAll()
	before, began := p.channels(), time.Now()
	for range 300 {
		if err := await(t, start(t, tr, at, newMessage("refused")), "the broker's answer"); !errors.Is(err, transport.ErrNacked) {
			t.Fatalf("a refused send: %v, want %v", err, transport.ErrNacked)
		}
	}
	most := 1 + int(time.Since(began)/time.Second)
	if opened := p.channels() - before; opened < 1 || opened > most {
		t.Errorf("%d refusals opened %d channels in %v, want 1 to %d", 300, opened, time.Since(began), most)
	}
}
