package transport

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"sync"
)

// EncodingGzip is the one value of [MetaEncoding].
const EncodingGzip = "gzip"

// gzipWriters are fast rather than thorough: a sender waits for them.
var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		return nil // unreachable: the level is one of gzip's own
	}
	return w
}}

const (
	// maxGrowth is how many times larger than a compressed payload its content may be, ...
	maxGrowth = 100
	// freeGrowth ... unless it is small. Text of a few repeated lines is compressed to a hundredth of its size.
	freeGrowth = 1 << 20
)

// mostOf is how many bytes a payload of so many compressed ones may become.
func mostOf(compressed int) int64 { return max(maxGrowth*int64(compressed), freeGrowth) }

// Compress returns payload in gzip's format, and false when that would not be smaller, or so much smaller that [Decompress] would
// refuse it. The result shares nothing with payload.
func Compress(payload []byte) ([]byte, bool) {
	w, ok := gzipWriters.Get().(*gzip.Writer)
	if !ok {
		return nil, false
	}
	defer gzipWriters.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	if _, err := w.Write(payload); err != nil {
		return nil, false
	}
	if err := w.Close(); err != nil || out.Len() >= len(payload) || int64(len(payload)) > mostOf(out.Len()) {
		return nil, false
	}
	return out.Bytes(), true
}

// Decompress undoes the encoding that [MetaEncoding] names; without one it returns payload itself. More than limit bytes are
// [ErrTooLarge], compressed or not, and so are more than 1 MiB that are more than a hundred times those of payload. It reads no
// further than that.
func Decompress(encoding string, payload []byte, limit int64) ([]byte, error) {
	switch encoding {
	case "":
		if int64(len(payload)) > limit {
			return nil, fmt.Errorf("%w: the payload has %d bytes, the limit is %d", ErrTooLarge, len(payload), limit)
		}
		return payload, nil
	case EncodingGzip:
	default:
		return nil, fmt.Errorf("unknown encoding %.40q; known: %s", encoding, EncodingGzip)
	}
	r, err := gzip.NewReader(bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	most := min(limit, mostOf(len(payload)))
	plain, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress: %w", err)
	case int64(len(plain)) <= most:
		return plain, nil
	case most == limit:
		return nil, fmt.Errorf("%w: the decompressed payload has more than %d bytes", ErrTooLarge, limit)
	default:
		return nil, fmt.Errorf("%w: %d bytes are decompressed to more than %d; beyond %d the limit is %d times the size",
			ErrTooLarge, len(payload), most, freeGrowth, maxGrowth)
	}
}
