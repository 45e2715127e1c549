package amqptransport_test

import (
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// TestMessagesFlowSoonAfterTheBrokerIsBack keeps the broker away for longer than pauses need to grow. Several programs
// wait for it, since a single one may be lucky: pauses are random.
func TestMessagesFlowSoonAfterTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	const programs, away, bar = 8, 8 * time.Second, 4 * time.Second
	p := newProxy(t)
	var handled []<-chan transport.Delivery
	var sends []func() <-chan error
	for range programs {
		tr, s := openConfig(t, p.config(t)), subscription(t)
		deliveries, _ := consume(t, tr, s)
		handled = append(handled, deliveries)
		sends = append(sends, func() <-chan error {
			return start(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("after"))
		})
	}
	p.refuse(true)
	p.cut()
	<-time.After(away)
	p.refuse(false)
	back := time.Now()
	var answers []<-chan error
	for _, send := range sends {
		answers = append(answers, send())
	}
	for i := range programs {
		if err := await(t, answers[i], "the broker's answer"); err != nil {
			t.Fatal(err)
		}
		if err := settle(t, await(t, handled[i], "the message"), transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(back)
	t.Log("all messages flowed after", took)
	if took > bar {
		t.Errorf("all messages flowed %v after the broker was back, want at most %v", took, bar)
	}
}

// TestABrokerThatHangsUpIsLeftAlone plays one that accepts every connection, and ends it when it is open.
func TestABrokerThatHangsUpIsLeftAlone(t *testing.T) {
	t.Parallel()
	const programs, watched, bar = 4, 8 * time.Second, 2 // handshakes a second of one connection, which a program has two of
	p := newProxy(t)
	var opened []*amqptransport.Transport
	for range programs {
		opened = append(opened, openConfig(t, p.config(t)))
	}
	before := p.hangUp(true)
	p.cut()
	<-time.After(watched)
	tries := p.hangUp(false) - before
	t.Log("handshakes:", tries)
	if most := programs * 2 * bar * int(watched/time.Second); tries > most || tries < programs*2 {
		t.Errorf("%d handshakes in %v, want %d to %d", tries, watched, programs*2, most)
	}
	for _, tr := range opened {
		s := subscription(t)
		deliveries, _ := consume(t, tr, s)
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("after"))
		if err := settle(t, await(t, deliveries, "the message"), transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
}
