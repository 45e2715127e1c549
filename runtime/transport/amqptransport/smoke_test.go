package amqptransport_test

import (
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	d := await(t, deliveries, "delivery")
	if err := settle(t, d, transport.Ack); err != nil {
		t.Fatal(err)
	}
}
