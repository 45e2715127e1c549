package async

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/hangtest"
	"github.com/asyncpb/async/runtime/transport"
)

// FuzzUnmarshal proves that any payload under any content type is a message or an error, and that a message that was read
// is the same when it is written and read again by either codec.
func FuzzUnmarshal(f *testing.F) {
	for _, contentType := range []string{"", contentProtobuf, contentJSON, "application/x-protobuf; charset=x", "text/plain", "\r\n"} {
		f.Add(contentType, []byte("\n\x01a\x10\x05"))
		f.Add(contentType, []byte(`{"orderId":"a","cents":"5","unknown":[1]}`))
		f.Add(contentType, []byte("\n\xff\xff\xff\xff\x0f"))
		f.Add(contentType, bytes.Repeat([]byte("{"), 200))
	}
	f.Fuzz(func(t *testing.T, contentType string, payload []byte) {
		defer hangtest.Watch()()
		read := new(ordersv1.OrderPlaced)
		if unmarshal(contentType, payload, read) != nil {
			return
		}
		read.ProtoReflect().SetUnknown(nil)
		for _, c := range []Codec{Protobuf, ProtoJSON} {
			data, err := c.marshal(read)
			if err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			again := new(ordersv1.OrderPlaced)
			if err := unmarshal(c.ContentType(), data, again); err != nil || !proto.Equal(read, again) {
				t.Errorf("%v became %v: %v", read, again, err)
			}
		}
	})
}

// FuzzHeaders proves that headers that may be sent come back as they were, and that none can be mistaken for one of ours.
func FuzzHeaders(f *testing.F) {
	f.Add("tenant", "acme", "")
	f.Add("ce-id", "forged", "x")
	f.Add("async-mv-tenant", `["a"]`, "b")
	f.Add("Tenant", "\r\nx: y", "\xff")
	f.Fuzz(func(t *testing.T, name, first, second string) {
		defer hangtest.Watch()()
		sent := Headers{name: {first, second}}
		md := message.Metadata{"ce-id": "1", "async-attempt": "2"}
		if sent.write(md, "") != nil {
			return
		}
		if md["ce-id"] != "1" || md["async-attempt"] != "2" {
			t.Fatalf("a header overwrote one of ours: %v", md)
		}
		if diff := cmp.Diff(sent, readHeaders(md, "")); diff != "" {
			t.Errorf("headers (-sent +got):\n%s", diff)
		}
	})
}

// FuzzEnvelope proves that whatever arrives is a message for the handler or a dead letter with a reason, and that a handler sees
// no header that is not a user's.
func FuzzEnvelope(f *testing.F) {
	rt, err := Open(f.Context(), WithURL("memory://"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = rt.Close() })
	spec := &Spec{
		Service: "acme.orders.v1.Orders", Method: "Ship", Kind: KindCommand, Topic: "acme.orders.v1.Orders.Ship", Group: "orders",
		Type: "acme.orders.v1.ShipRequest", Input: func() proto.Message { return new(ordersv1.ShipRequest) },
	}
	r := rt.route(spec)
	r.settings.maxMessageBytes = 1 << 12
	b := &binding{rt: rt, route: r}
	bomb, _ := transport.Compress(make([]byte, 1<<16))
	f.Add("id-1", spec.Type, contentProtobuf, "", "tenant", "blue", []byte("\n\x01a"))
	f.Add("", spec.Type, contentJSON, "gzip", "async-mv-tenant", `["a","b"]`, bomb)
	f.Add("id-1", "acme.Other", "text/plain", "zstd", "async-attempt", "99999999999999999999", []byte(nil))
	f.Add("\r\n", spec.Type, "", "", "async-reply-to", "a--b", []byte("\n\xff\xff\xff\xff\x0f"))
	f.Add("id-1", spec.Type, "", "", "async-attempt", "9223372036854775807", []byte("\x12\x00"))
	f.Add("id-1", spec.Type, "", "", "async-deadline", "-1", bytes.Repeat([]byte("\x1b"), 100))
	f.Fuzz(func(t *testing.T, id, messageType, contentType, encoding, name, value string, payload []byte) {
		defer hangtest.Watch()()
		msg := message.NewMessage(id, payload)
		msg.Metadata = message.Metadata{
			transport.MetaID: id, transport.MetaType: messageType, transport.MetaContentType: contentType, transport.MetaEncoding: encoding, name: value,
		}
		in, err := b.decode(msg)
		if address := replyAddress(msg.Metadata); strings.Contains(address, "--") && !strings.HasPrefix(address, "amq.") {
			t.Errorf("a reply goes to %q", address)
		}
		if err != nil {
			var unfit *unfitError
			if !errors.As(err, &unfit) || unfit.reason == "" {
				t.Fatalf("refused with %v", err)
			}
			if text := sanitize(err.Error()); strings.ContainsAny(text, "\r\n\x00\x1b") || len(text) > 256 || !utf8.ValidString(text) {
				t.Errorf("the dead letter would say %q", text)
			}
			return
		}
		if msg.Metadata[transport.MetaType] != spec.Type || in.Info.Attempt < 1 || in.Info.Attempt+1 < 1 {
			t.Errorf("%+v reached the handler", in.Info)
		}
		for header := range in.Info.Headers {
			if reserved(header) {
				t.Errorf("the handler sees the header %q", header)
			}
		}
	})
}
