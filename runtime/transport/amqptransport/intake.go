package amqptransport

import (
	"encoding/binary"
	"sync/atomic"
)

// intake is the reading half of a [stream]. It belongs to the goroutine that reads.
//
// Where packing is asked for, it wraps the header table of every message into a table of one entry, which holds the
// bytes of the original ([packedName]). The library then decodes one value instead of a dozen, and [unpack] makes
// metadata of the bytes at once.
type intake struct {
	// largest is how large a frame's payload may be; zero for no packing.
	largest atomic.Int64
	heard   atomic.Bool // something was read

	buf        []byte
	begin, end int // what was read and not handed out yet
	pass       int // how much of the current frame goes on as it is
	head       []byte
	scratch    [1024]byte // what head lies in
}

const (
	// packedName names the one entry of a packed table.
	packedName = "\x00"
	// packedSurplus is the name, the type and the length of that entry.
	packedSurplus = 1 + len(packedName) + 1 + 4

	// headerFixed is class, weight, size and flags.
	headerFixed = 2 + 2 + 8 + 2
)

// Read hands out what there is, and waits only when there is nothing.
func (s *stream) Read(b []byte) (int, error) {
	in, n := &s.intake, 0
	for n < len(b) {
		switch {
		case len(in.head) > 0:
			k := copy(b[n:], in.head)
			in.head = in.head[k:]
			n += k
		case in.pass > 0 && in.begin < in.end:
			k := copy(b[n:], in.buf[in.begin:min(in.end, in.begin+in.pass)])
			in.begin, in.pass, n = in.begin+k, in.pass-k, n+k
		case in.pass == 0 && in.nextFrame():
		case n > 0:
			return n, nil
		default:
			if err := s.fetch(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// fetch reads more. At the first error it closes the connection: the library tears a connection down only after the
// writers have let go of it, and with a peer that has fallen silent they would never do so by themselves.
func (s *stream) fetch() error {
	in := &s.intake
	if in.buf == nil {
		in.buf = make([]byte, fullRead)
	}
	in.end = copy(in.buf, in.buf[in.begin:in.end])
	in.begin = 0
	n, err := s.Conn.Read(in.buf[in.end:])
	in.end += n
	if err != nil {
		s.cut()
	}
	if n > 0 {
		in.heard.Store(true)
		return nil
	}
	return err
}

// nextFrame begins a frame. It reports false when more of it must be read first.
func (in *intake) nextFrame() bool {
	frame := in.buf[in.begin:in.end]
	if len(frame) < frameSurplus-1 {
		return false
	}
	size := int(binary.BigEndian.Uint32(frame[3:]))
	largest := int(in.largest.Load())
	if frame[0] != frameHeader || size < headerFixed || size+packedSurplus > largest {
		in.pass = size + frameSurplus
		return true
	}
	payload := frame[frameSurplus-1:]
	if len(payload) > size {
		payload = payload[:size]
	}
	at, found, known := findTable(payload)
	if !known && len(payload) < size {
		return false
	}
	in.pass = size + frameSurplus
	if found {
		in.pack(frame, frameSurplus-1+at, size)
	}
	return true
}

// findTable looks for the length of the header table. known is false when the payload ends before that.
func findTable(payload []byte) (at int, found, known bool) {
	if len(payload) < headerFixed {
		return 0, false, false
	}
	flags := binary.BigEndian.Uint16(payload[headerFixed-2:])
	if flags&flagHeaders == 0 {
		return 0, false, true
	}
	at = headerFixed
	for _, text := range [...]uint16{flagContentType, flagContentEncoding} {
		if flags&text == 0 {
			continue
		}
		if len(payload) <= at {
			return 0, false, false
		}
		at += 1 + int(payload[at])
	}
	if len(payload) < at+4 {
		return 0, false, false
	}
	return at, true, true
}

// pack makes the beginning of the frame anew, up to the bytes of the table, whose length stands at the given place.
func (in *intake) pack(frame []byte, at, size int) {
	length := binary.BigEndian.Uint32(frame[at:])
	head := append(in.scratch[:0], frame[:at]...)
	binary.BigEndian.PutUint32(head[3:], uint32(size+packedSurplus))
	head = binary.BigEndian.AppendUint32(head, length+uint32(packedSurplus))
	head = appendShort(head, packedName)
	head = append(head, 'x')
	in.head = binary.BigEndian.AppendUint32(head, length)
	in.begin += at + 4
	in.pass -= at + 4
}
