package schema_test

import (
	"bytes"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/asyncpb/async/cmd/async/internal/schema"
	"github.com/asyncpb/async/runtime/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestACompressedPayloadIsShownAsAnyOther(t *testing.T) {
	t.Parallel()
	plain := append(append([]byte(`{"note": "`), bytes.Repeat([]byte("x"), 1<<10)...), `"}`...)
	small, ok := transport.Compress(plain)
	if !ok {
		t.Fatal("the payload cannot be compressed")
	}
	msg := message.NewMessage("1", small)
	msg.Metadata = message.Metadata{transport.MetaContentType: "application/json", transport.MetaEncoding: transport.EncodingGzip}
	got, err := new(schema.Schema).Decode(msg, true)
	if err != nil || !bytes.Equal(got, bytes.ReplaceAll(plain, []byte(" "), nil)) {
		t.Errorf("got %.40s, %v", got, err)
	}
	msg.Payload = msg.Payload[:10]
	if shown, err := new(schema.Schema).Decode(msg, true); err == nil {
		t.Errorf("a payload that was cut short is shown as %.40s", shown)
	}
}
