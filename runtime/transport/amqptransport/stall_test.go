package amqptransport_test

import (
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// TestSendsThatTheBrokerForgotAreSentAgain plays a node that takes messages and never comes back to them, on a connection
// that lives: heartbeats and everything else pass. It does not even agree to the
// end of the channel.
func TestSendsThatTheBrokerForgotAreSentAgain(t *testing.T) {
	t.Parallel()
	sendIntoOblivion(t, (*proxy).forget)
}

// TestAConnectionOnWhichNoChannelOpensIsReplaced plays a node that reads nothing more from a connection, since the leader of
// a queue does not take what went before. It keeps up the heartbeats.
func TestAConnectionOnWhichNoChannelOpensIsReplaced(t *testing.T) {
	t.Parallel()
	sendIntoOblivion(t, (*proxy).jam)
}

// sendIntoOblivion fills the window with sends that stay without an answer, as harm sees to.
func sendIntoOblivion(t *testing.T, harm func(*proxy)) {
	t.Helper()
	p := newProxy(t)
	c := p.config(t)
	c.Options["heartbeat"], c.Options["window"] = "1s", "4"
	tr, s := openConfig(t, c), subscription(t)
	deliveries, _ := consume(t, tr, s)
	at := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, at, newMessage("while all is well"))
	if err := settle(t, await(t, deliveries, "the first message"), transport.Ack); err != nil {
		t.Fatal(err)
	}
	harm(p)
	var answers []<-chan error
	for range 4 { // the whole window
		answers = append(answers, start(t, tr, at, newMessage("forgotten")))
	}
	// What the broker has is handed out; only the senders do not know.
	for range answers {
		if err := settle(t, await(t, deliveries, "a message"), transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	for _, answer := range answers {
		if err := await(t, answer, "the broker's answer"); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the answers took %v", took)
	}
	mustSend(t, tr, at, newMessage("the window is free again"))
}
