package amqptransport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/internal/hangtest"
	"github.com/asyncpb/async/runtime/transport"
)

// recorder is a connection that keeps what is written and gives what it was told to give.
type recorder struct {
	net.Conn
	writes [][]byte
	given  interface{ Read([]byte) (int, error) }
}

func (r *recorder) Write(b []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(b))
	return len(b), nil
}

func (r *recorder) Read(b []byte) (int, error) { return r.given.Read(b) }

func (r *recorder) Close() error { return nil }

func heartbeat() []byte { return append(beginFrame(nil, 8, 0, 0), frameEnd) }

func TestWritesGoOutTogetherWhileSomebodyHolds(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	s := newStream(r, r, 0)
	write := func() {
		if _, err := s.Write(heartbeat()); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if len(r.writes) != 1 {
		t.Fatalf("%d writes, want 1: nobody holds", len(r.writes))
	}
	s.hold()
	s.hold()
	for range 3 {
		write()
	}
	s.release()
	if len(r.writes) != 1 {
		t.Errorf("%d writes, want 1: another one still holds", len(r.writes))
	}
	s.release()
	if len(r.writes) != 2 || !bytes.Equal(r.writes[1], bytes.Repeat(heartbeat(), 3)) {
		t.Errorf("the writes are %x", r.writes)
	}
	s.hold()
	for range fullWrite/len(heartbeat()) + 1 {
		write()
	}
	if len(r.writes) != 3 {
		t.Errorf("%d writes, want 3: a holder does not keep more than a buffer", len(r.writes))
	}
	s.release()
}

// TestStubBecomesItsMessage cuts what the client library writes at every place.
func TestStubBecomesItsMessage(t *testing.T) {
	t.Parallel()
	stub := beginFrame(nil, frameMethod, 7, 11)
	stub = append(stub, 0, classBasic, 0, methodPublish, 0, 0, 0, 2, 0, 1, 0, frameEnd)
	stub = append(beginFrame(stub, frameHeader, 7, headerFixed), make([]byte, headerFixed)...)
	stub = append(stub, frameEnd)
	library := append(append(heartbeat(), stub...), heartbeat()...)
	m := &send{exchange: "orders", key: "placed", mandatory: true, header: []byte("the header"), body: []byte("the body")}
	plain := &recorder{}
	direct := newStream(plain, plain, 2)
	direct.tuned(frameSize, false)
	if err := direct.put(7, m); err != nil {
		t.Fatal(err)
	}
	want := append(append(heartbeat(), direct.out...), heartbeat()...)
	for cut := range library {
		r := &recorder{}
		s := newStream(r, r, 2)
		s.tuned(frameSize, false)
		s.desks[1].send.Store(m)
		for _, part := range [][]byte{library[:cut], library[cut:]} {
			if _, err := s.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if got := bytes.Join(r.writes, nil); !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: wrote %q, want %q", cut, got, want)
		}
	}
}

// TestHeadersComeBack encodes messages, packs their headers as they are read, and makes messages of them again.
func TestHeadersComeBack(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 12, 300} {
		msg := message.NewMessage("id", []byte("payload"))
		for i := range size {
			msg.Metadata.Set(fmt.Sprintf("name-%d", i), string(make([]byte, rand.IntN(200))))
		}
		msg.Metadata.Set(transport.MetaType, "acme.Event")
		msg.Metadata.Set(transport.MetaReplyTo, "async.reply.me")
		header, err := encode(msg, "")
		if err != nil {
			t.Fatal(err)
		}
		frame := append(append(beginFrame(nil, frameHeader, 1, len(header)), header...), frameEnd)
		d := readHeader(t, frame)
		got, before := unpack(d, string(d.Headers[packedName].([]byte)))
		if got.UUID != msg.UUID || before != 0 {
			t.Errorf("%d headers: id %q, handed out %d times", size, got.UUID, before)
		}
		if diff := cmp.Diff(msg.Metadata, got.Metadata); diff != "" {
			t.Errorf("%d headers came back changed (-want +got):\n%s", size, diff)
		}
	}
}

// readHeader reads a header frame through a stream, a byte at a time from the network, and decodes what comes out.
func readHeader(t *testing.T, frame []byte) *amqp.Delivery {
	t.Helper()
	r := &recorder{given: iotest.OneByteReader(bytes.NewReader(frame))}
	s := newStream(r, r, 0)
	s.tuned(frameSize, true)
	out := make([]byte, len(frame)+packedSurplus)
	for n := 0; n < len(out); {
		k, err := s.Read(out[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	if size := int(binary.BigEndian.Uint32(out[3:])); size != len(out)-frameSurplus || out[len(out)-1] != frameEnd {
		t.Fatalf("the frame says %d bytes, there are %d", size, len(out)-frameSurplus)
	}
	payload := out[frameSurplus-1 : len(out)-1]
	at, found, known := findTable(payload)
	if !found || !known {
		t.Fatal("there is no table")
	}
	length := int(binary.BigEndian.Uint32(payload[at:]))
	table := decodeTable(string(payload[at+4:at+4+length]), 0)
	return &amqp.Delivery{Headers: table, Type: "acme.Event", ReplyTo: "async.reply.me"}
}

func TestEveryTypeOfAHeaderIsDecodedAsItWasEncoded(t *testing.T) {
	t.Parallel()
	table := amqp.Table{
		"nil": nil, "bool": true, "byte": byte(200), "int8": int8(-7), "int16": int16(-300), "uint16": uint16(60000),
		"int32": int32(-70000), "uint32": uint32(4000000000), "int64": int64(-1 << 40), "float32": float32(1.5), "float64": 2.25,
		"decimal": amqp.Decimal{Scale: 2, Value: -314}, "string": "text", "bytes": []byte{0, 255}, "time": time.Unix(1795388832, 0),
		"table": amqp.Table{"inner": []any{"a", int32(1), amqp.Table{}}}, "list": []any{},
	}
	b, err := appendField(nil, table)
	if err != nil {
		t.Fatal(err)
	}
	e, rest, ok := split(string(b), false)
	if !ok || rest != "" {
		t.Fatalf("not one value: %v, rest %q", ok, rest)
	}
	if diff := cmp.Diff(any(table), e.decode(0)); diff != "" {
		t.Errorf("the table changed (-want +got):\n%s", diff)
	}
	if _, err := appendField(nil, struct{}{}); err == nil {
		t.Error("a struct was encoded")
	}
}

// FuzzUnpack takes the bytes of a table from strangers.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x04nameS\x00\x00\x00\x01v"))
	f.Add([]byte("\x01aF\x00\x00\x00\x04\x01bV\x01cA\x00\x00\x00\x02t\x01"))
	f.Add([]byte("\x10x-delivery-countl\x00\x00\x00\x00\x00\x00\x00\x05"))
	f.Fuzz(func(t *testing.T, table []byte) {
		defer hangtest.Watch()()
		msg, _ := unpack(&amqp.Delivery{MessageId: "id"}, string(table))
		for name := range msg.Metadata {
			if !travels(name) {
				t.Errorf("%q is not a header's to set", name)
			}
		}
	})
}
