package schema_test

import (
	"bytes"
	"errors"
	"runtime"
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

// TestAPayloadThatGrowsIsShownUpToALimit is not parallel: it looks at the memory of the process.
func TestAPayloadThatGrowsIsShownUpToALimit(t *testing.T) { //nolint:paralleltest // see above
	const mib = 1 << 20
	member, ok := transport.Compress(bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), mib/36))
	if !ok {
		t.Fatal("the payload cannot be compressed")
	}
	for name, row := range map[string]struct {
		payload  []byte
		encoding string
	}{
		"compressed": {bytes.Repeat(member, 4*1024), transport.EncodingGzip}, // a gzip file may be several
		"as it is":   {[]byte(`"` + string(bytes.Repeat([]byte("x"), 65*mib)) + `"`), ""},
	} {
		msg := message.NewMessage("1", row.payload)
		msg.Metadata = message.Metadata{transport.MetaContentType: "application/json", transport.MetaEncoding: row.encoding}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := new(schema.Schema).Decode(msg, true)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, transport.ErrTooLarge) {
			t.Errorf("%s, %d bytes: %v", name, len(row.payload), err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 512*mib {
			t.Errorf("%s, %d bytes took %d MiB of memory", name, len(row.payload), took/mib)
		}
	}
}
