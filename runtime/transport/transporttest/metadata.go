package transporttest

import (
	"bytes"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

var metadata = []test{
	roundTrip("metadata comes as it was sent", func(m *message.Message) {
		m.Metadata = message.Metadata{
			transport.MetaID:          m.UUID,
			transport.MetaType:        "acme.orders.v1.OrderPlaced",
			transport.MetaSource:      "conformance",
			transport.MetaSpecVersion: "1.0",
			transport.MetaContentType: "application/protobuf",
			transport.MetaTime:        "2026-01-02T03:04:05.678901234Z",
			transport.MetaCreatedAt:   "1767323045678901234",
			transport.MetaAttempt:     "3",
			transport.MetaKey:         "customer 7",
			transport.MetaTraceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			"tenant":                  "blue",
		}
	}),
	roundTrip("values may hold any text", func(m *message.Message) {
		m.Metadata.Set("greeting", "Grüße, Ελλάδα, океан 🌍 — \"quoted\", a=b; c,d")
		m.Metadata.Set("empty", "")
	}),
	roundTrip("the address and the correlation of a reply survive", func(m *message.Message) {
		m.Metadata.Set(transport.MetaReplyTo, "async.reply.0123456789abcdef")
		m.Metadata.Set(transport.MetaCorrelationID, "call-42")
		m.Metadata.Set(transport.MetaStatus, "0")
	}),
	roundTrip("a payload may be empty", func(m *message.Message) { m.Payload = nil }),
	roundTrip("a payload may hold any byte", func(m *message.Message) {
		m.Payload = nil
		for i := range 1024 {
			m.Payload = append(m.Payload, byte(i))
		}
	}),
	roundTrip("a payload may have a mebibyte", func(m *message.Message) {
		m.Payload = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	}),
}

// roundTrip sends a message that change has changed and compares what arrives. A driver may add metadata of its own.
func roundTrip(name string, change func(*message.Message)) test {
	return test{name, func(t *testing.T, s *stage) {
		in := consume(t, s.receiver, s.event("g", 1))
		msg := s.message()
		change(msg)
		want := msg.Copy()
		want.Payload = bytes.Clone(msg.Payload)
		p := transport.Publication{Key: msg.Metadata.Get(transport.MetaKey), RoutingKey: msg.Metadata.Get(transport.MetaType)}
		if err := outcome(t, s.start(t, p, msg)); err != nil {
			t.Fatalf("send: %v", err)
		}
		// The message is ours again, and what we do to it is nobody's concern.
		clear(msg.Payload)
		for name := range msg.Metadata {
			msg.Metadata[name] = "changed"
		}
		got := in.ack(t).Message()
		if got.UUID != want.UUID {
			t.Errorf("the id is %q, want %q", got.UUID, want.UUID)
		}
		if !bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("the payload of %d bytes differs from that sent, of %d bytes", len(got.Payload), len(want.Payload))
		}
		for name, value := range want.Metadata {
			if have, there := got.Metadata[name]; !there || have != value {
				t.Errorf("metadata %s is %q, want %q", name, have, value)
			}
		}
	}}
}
