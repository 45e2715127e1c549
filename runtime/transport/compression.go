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

// Compress returns payload in gzip's format, and false when that would not be smaller. The result shares nothing with payload.
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
	if err := w.Close(); err != nil || out.Len() >= len(payload) {
		return nil, false
	}
	return out.Bytes(), true
}

// Decompress undoes the encoding that [MetaEncoding] names; without one it returns payload itself. More than limit bytes are
// [ErrTooLarge], and it reads no further than that.
func Decompress(encoding string, payload []byte, limit int64) ([]byte, error) {
	switch encoding {
	case "":
		return payload, nil
	case EncodingGzip:
	default:
		return nil, fmt.Errorf("unknown encoding %.40q; known: %s", encoding, EncodingGzip)
	}
	r, err := gzip.NewReader(bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if int64(len(plain)) > limit {
		return nil, fmt.Errorf("%w: the decompressed payload has more than %d bytes", ErrTooLarge, limit)
	}
	return plain, nil
}
