package transport_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/asyncpb/async/internal/hangtest"
	"github.com/asyncpb/async/runtime/transport"
)

func TestCompressionIsUndone(t *testing.T) {
	t.Parallel()
	const size = 4096
	plain := bytes.Repeat([]byte("abcd"), size/4)
	small, ok := transport.Compress(plain)
	if !ok || len(small) >= len(plain) {
		t.Fatalf("%d bytes become %d, %v", len(plain), len(small), ok)
	}
	for _, test := range []struct {
		name  string
		limit int64
		want  error
	}{
		{"one byte more than the limit", size - 1, transport.ErrTooLarge},
		{"as many bytes as the limit", size, nil},
		{"one byte less than the limit", size + 1, nil},
	} {
		for encoding, payload := range map[string][]byte{transport.EncodingGzip: small, "": plain} {
			got, err := transport.Decompress(encoding, payload, test.limit)
			if !errors.Is(err, test.want) || test.want == nil && !bytes.Equal(got, plain) {
				t.Errorf("%s, encoding %q: %d bytes, %v", test.name, encoding, len(got), err)
			}
		}
	}
}

// packed returns size zeros in gzip's format, in exactly total bytes.
func packed(t *testing.T, size, total int) []byte {
	t.Helper()
	write := func(extra int) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Extra = make([]byte, extra)
		if _, err := w.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	least := len(write(1))
	out := write(1 + total - least)
	if len(out) != total {
		t.Fatalf("%d bytes, want %d", len(out), total)
	}
	return out
}

func TestAPayloadGrowsAtMostHundredfold(t *testing.T) {
	t.Parallel()
	const mib, large, limit = 1 << 20, 2_000_000, 1 << 30
	for _, test := range []struct {
		name        string
		size, total int
		want        error
	}{
		{"a hundred times the size", large, large / 100, nil},
		{"a little less", large, large/100 + 1, nil},
		{"a little more", large, large/100 - 1, transport.ErrTooLarge},
		{"much more, in 1 MiB", mib, 2000, nil},
		{"much more, in one byte more than that", mib + 1, 2000, transport.ErrTooLarge},
	} {
		plain, err := transport.Decompress(transport.EncodingGzip, packed(t, test.size, test.total), limit)
		if test.want == nil && (err != nil || len(plain) != test.size) {
			t.Errorf("%s: %d bytes, %v", test.name, len(plain), err)
		}
		if test.want != nil && (!errors.Is(err, test.want) || !strings.Contains(err.Error(), "100 times")) {
			t.Errorf("%s: %d bytes, and %v in place of an error that names the limit", test.name, len(plain), err)
		}
	}
	if small, ok := transport.Compress(make([]byte, large)); ok {
		t.Errorf("%d zeros are sent as %d bytes, which nobody takes", large, len(small))
	}
	if small, ok := transport.Compress(make([]byte, mib)); !ok || len(small) > mib/100 {
		t.Errorf("1 MiB of zeros is sent as %d bytes", len(small))
	}
}

// TestABombDoesNotFillTheMemory is not parallel: it looks at the memory of the process.
func TestABombDoesNotFillTheMemory(t *testing.T) { //nolint:paralleltest // see above
	const mib, most = 1 << 20, 16 << 20
	member, ok := transport.Compress(make([]byte, mib))
	if !ok {
		t.Fatal("zeros cannot be compressed")
	}
	bomb := bytes.Repeat(member, 1024) // a gzip file may be several
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := transport.Decompress(transport.EncodingGzip, bomb, mib)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, transport.ErrTooLarge) {
		t.Errorf("%d bytes that become 1 GiB: %v", len(bomb), err)
	}
	took := after.TotalAlloc - before.TotalAlloc
	if took > most {
		t.Errorf("it took %d bytes of memory, want at most %d", took, most)
	}
	t.Logf("%d bytes that become 1 GiB took %d bytes of memory", len(bomb), took)
}

func TestWhatCompressionWouldNotMakeSmallerIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, payload := range [][]byte{nil, []byte("x")} {
		if small, ok := transport.Compress(payload); ok {
			t.Errorf("%q becomes %d bytes", payload, len(small))
		}
	}
}

func FuzzDecompress(f *testing.F) {
	small, _ := transport.Compress(bytes.Repeat([]byte("abcd"), 1024))
	f.Add(small, int64(4096))
	f.Add(small[:20], int64(10))
	f.Add([]byte("hello"), int64(0))
	f.Fuzz(func(t *testing.T, payload []byte, limit int64) {
		defer hangtest.Watch()()
		limit &= 1<<16 - 1
		plain, err := transport.Decompress(transport.EncodingGzip, payload, limit)
		if err == nil && int64(len(plain)) > limit {
			t.Errorf("%d bytes, the limit is %d", len(plain), limit)
		}
	})
}
