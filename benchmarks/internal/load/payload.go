package load

import (
	"encoding/binary"
	"fmt"
)

// stampBytes is what number and time take in a payload without a schema.
const stampBytes = 16

// Payload returns a payload without a schema: number, intended time, and zeros.
func Payload(size, number int, intended int64) []byte {
	p := make([]byte, max(size, stampBytes))
	Stamp(p, number, intended)
	return p
}

// Stamp writes number and intended time into a payload that [Payload] made, for a sender that uses one buffer again.
func Stamp(payload []byte, number int, intended int64) {
	binary.LittleEndian.PutUint64(payload, uint64(number))
	binary.LittleEndian.PutUint64(payload[8:], uint64(intended))
}

// Parse reads what [Payload] wrote.
func Parse(payload []byte) (number int, intended int64, err error) {
	if len(payload) < stampBytes {
		return 0, 0, fmt.Errorf("a payload of %d bytes has no number", len(payload))
	}
	return int(binary.LittleEndian.Uint64(payload)), int64(binary.LittleEndian.Uint64(payload[8:])), nil
}
