package proxy

import "encoding/binary"

// The parts of AMQP 0-9-1 that misacks take to know.
const (
	greeting    = 8 // bytes before the first frame of a client
	frameHead   = 7 // type, channel and size
	methodHead  = frameHead + 4
	frameMethod = 1
	frameEnd    = 0xce
	classBasic  = 60
	basicSend   = 40
	basicAck    = 80
)

// unknownTag is a delivery that no broker has handed out.
const unknownTag = 1 << 40

// frames follows the frames that a client writes.
type frames struct {
	begun bool
	left  int // bytes of the present frame, or of the greeting, that are still to come
	head  [frameHead]byte
	have  int // of head
}

// next goes on with data and returns where the first frame in it begins that sends or acknowledges a message, and on which
// channel; -1 if none does. Such a frame whose begin is not whole in data is passed over.
func (f *frames) next(data []byte) (at int, channel uint16) {
	if !f.begun {
		f.begun, f.left = true, greeting
	}
	at = -1
	for pos := 0; pos < len(data); {
		if f.left > 0 {
			n := min(f.left, len(data)-pos)
			f.left -= n
			pos += n
			continue
		}
		if at < 0 && f.have == 0 && concernsMessage(data[pos:]) {
			at, channel = pos, binary.BigEndian.Uint16(data[pos+1:])
		}
		n := copy(f.head[f.have:], data[pos:])
		f.have += n
		pos += n
		if f.have == frameHead {
			f.have, f.left = 0, int(binary.BigEndian.Uint32(f.head[3:]))+1
		}
	}
	return at, channel
}

func concernsMessage(frame []byte) bool {
	if len(frame) < methodHead || frame[0] != frameMethod || binary.BigEndian.Uint16(frame[frameHead:]) != classBasic {
		return false
	}
	method := binary.BigEndian.Uint16(frame[frameHead+2:])
	return method == basicSend || method == basicAck
}

// misack is the acknowledgement of a delivery that nobody got. The broker closes the channel over it.
func misack(channel uint16) []byte {
	frame := []byte{frameMethod}
	frame = binary.BigEndian.AppendUint16(frame, channel)
	frame = binary.BigEndian.AppendUint32(frame, 13)
	frame = binary.BigEndian.AppendUint16(frame, classBasic)
	frame = binary.BigEndian.AppendUint16(frame, basicAck)
	frame = binary.BigEndian.AppendUint64(frame, unknownTag)
	return append(frame, 0, frameEnd)
}
