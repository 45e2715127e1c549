package amqptransport

import (
	"encoding/binary"
	"testing"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// command is a command as the runtime sends it, with a trace.
func command() *message.Message {
	const id = "019abc3e-7d54-7c2a-9f0e-5b6f1d2c3a4b"
	msg := message.NewMessage(id, make([]byte, 1024))
	msg.Metadata = message.Metadata{
		transport.MetaID: id, transport.MetaSource: "shop", transport.MetaType: "acme.orders.v1.ShipRequest", transport.MetaSpecVersion: "1.0",
		transport.MetaTime: "2026-11-23T09:13:44.347703145Z", transport.MetaContentType: "application/protobuf",
		transport.MetaCreatedAt: "1795425224347703145", transport.MetaSentAt: "1795425224347703145",
		transport.MetaTraceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	return msg
}

// TestEncodingKeepsToItsAllocations is not parallel: what is counted is the allocations of the whole process.
func TestEncodingKeepsToItsAllocations(t *testing.T) { //nolint:paralleltest // see above
	const budget = 1 // the header that is sent
	msg := command()
	var failed error
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := encode(msg, ""); err != nil {
			failed = err
		}
	})
	if failed != nil {
		t.Fatal(failed)
	}
	if allocs > budget {
		t.Errorf("encoding takes %.0f allocations, want at most %d", allocs, budget)
	}
}

// TestDecodingKeepsToItsAllocations is not parallel: what is counted is the allocations of the whole process.
func TestDecodingKeepsToItsAllocations(t *testing.T) { //nolint:paralleltest // see above
	const budget = 9 // four of them are the message, and the others its metadata
	sent := command()
	header, err := encode(sent, "")
	if err != nil {
		t.Fatal(err)
	}
	at, found, _ := findTable(header)
	if !found {
		t.Fatal("the header has no table")
	}
	table := header[at+4:][:binary.BigEndian.Uint32(header[at:])]
	d := &amqp.Delivery{
		Body: sent.Payload, MessageId: sent.UUID, Type: sent.Metadata[transport.MetaType], ContentType: sent.Metadata[transport.MetaContentType],
		Headers: amqp.Table{packedName: table},
	}
	tr := &Transport{settings: &settings{config: wamqp.Config{Marshaler: Marshaler{}}}}
	var got *message.Message
	allocs := testing.AllocsPerRun(1000, func() { got, _ = tr.message(d) })
	if got.UUID != sent.UUID || len(got.Metadata) != len(sent.Metadata) {
		t.Fatalf("came back as %s with %v", got.UUID, got.Metadata)
	}
	if allocs > budget {
		t.Errorf("decoding takes %.0f allocations, want at most %d", allocs, budget)
	}
}
