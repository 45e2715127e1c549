package transport_test

import (
	"bytes"
	"errors"
	"testing"

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
		got, err := transport.Decompress(transport.EncodingGzip, small, test.limit)
		if !errors.Is(err, test.want) || test.want == nil && !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes, %v", test.name, len(got), err)
		}
	}
	if got, err := transport.Decompress("", plain, 1); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("what is not compressed: %d bytes, %v", len(got), err)
	}
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
		limit &= 1<<16 - 1
		plain, err := transport.Decompress(transport.EncodingGzip, payload, limit)
		if err == nil && int64(len(plain)) > limit {
			t.Errorf("%d bytes, the limit is %d", len(plain), limit)
		}
	})
}
