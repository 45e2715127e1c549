package async

import (
	"bytes"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
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
