package async

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/google/uuid"
)

// entropy holds readers of random bytes that ask the system for many at a time: asking costs more than all else of an id.
var entropy = sync.Pool{New: func() any { return bufio.NewReaderSize(rand.Reader, 1024) }}

// newMessageID returns a UUIDv7: ids that are made later sort later.
func newMessageID() (string, error) {
	r, _ := entropy.Get().(*bufio.Reader)
	id, err := uuid.NewV7FromReader(r)
	entropy.Put(r)
	if err != nil {
		return "", fmt.Errorf("message id: %w", err)
	}
	return id.String(), nil
}
