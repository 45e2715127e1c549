package amqptransport

import (
	"encoding/binary"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	frameMethod  = 1
	frameHeader  = 2
	frameBody    = 3
	frameEnd     = 0xCE
	frameSurplus = 7 + 1 // the header and the end of a frame

	classBasic    = 60
	methodPublish = 40

	// fullWrite is how many bytes are written at once at the latest: a dozen messages of usual size. More would spare few
	// system calls, and the broker would take it in longer steps.
	fullWrite = 16 << 10
	// fullRead is how many bytes are read at once at most.
	fullRead = 64 << 10
)

// stream is the connection as the client library sees it. It spares the library, and the machine, the two things that
// cost most of a message:
//
//   - One system call for each write and each few kilobytes read. Writes that are made while somebody holds the stream go
//     out together; without a holder a write goes out at once, so that heartbeats, acknowledgements and handshakes never
//     wait for anything but the end of a burst that is being written. Reads fetch as much as there is.
//   - The headers of messages, whose coding takes the library longer than all the rest. It publishes stubs, which the
//     stream replaces by the messages that they stand for ([stream.publish]), and gets headers packed as one value ([intake]).
//
// All that belongs to the protocol beyond a message's own bytes stays with the library: channels, confirms, returns,
// heartbeats, flow.
type stream struct {
	net.Conn
	wire   net.Conn // the socket below it
	intake intake

	mu      sync.Mutex
	holders int
	out     []byte
	err     error // of the first write that failed
	// partial is the beginning of a frame whose rest is still to come.
	partial []byte
	// stubbed lists the channels whose stub was replaced and whose stub of a header is still to come.
	stubbed []uint16
	// desks hold the message that the next stub of their number stands for; empty where nothing is published.
	desks []desk

	// largest is how much of a body fits into one frame; zero before the handshake is over.
	largest int
}

// desk is where a publisher lays the message whose stub it writes.
type desk struct{ send atomic.Pointer[send] }

func newStream(conn net.Conn, wire net.Conn, desks int) *stream {
	return &stream{Conn: conn, wire: wire, desks: make([]desk, desks)}
}

// tuned begins to look into the frames: the handshake is over.
func (s *stream) tuned(frameSize int, pack bool) {
	largest := math.MaxInt32
	if frameSize > 0 {
		largest = frameSize - frameSurplus
	}
	s.mu.Lock()
	s.largest = largest
	s.mu.Unlock()
	if pack {
		s.intake.largest.Store(int64(largest))
	}
}

// cut ends the connection without a word, and with it every read and write.
func (s *stream) cut() { _ = s.wire.Close() }

// hold lets writes wait for release, or until there are many. Every holder releases soon: it does not wait for anybody
// in between.
func (s *stream) hold() {
	s.mu.Lock()
	s.holders++
	s.mu.Unlock()
}

// release writes what has gathered, unless others hold the stream too. An error ends the connection, which is how
// everybody learns of it.
func (s *stream) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holders--; s.holders == 0 {
		_ = s.flush()
	}
}

// publish writes m on ch. The desk belongs to the caller.
//
// The library writes a message that is nothing but the number of the desk. The stream finds the message there, in whichever
// goroutine writes the stub in the end.
func (s *stream) publish(ch *amqp.Channel, number int, m *send) (*amqp.DeferredConfirmation, error) {
	d := &s.desks[number]
	d.send.Store(m)
	confirm, err := ch.PublishWithDeferredConfirm("", stubKey(number), false, false, amqp.Publishing{})
	d.send.Store(nil)
	return confirm, err
}

var stubKeys = func() (keys [maxChannels]string) {
	for i := range keys {
		keys[i] = string([]byte{0, byte(i)})
	}
	return keys
}()

func stubKey(number int) string { return stubKeys[number] }

// Write is called by one goroutine at a time.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	var err error
	if len(s.desks) == 0 || s.largest == 0 {
		s.out = append(s.out, b...)
	} else {
		err = s.take(b)
	}
	if err == nil && (s.holders == 0 || len(s.out) >= fullWrite) {
		err = s.flush()
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// flush writes what has gathered. The caller holds the lock.
func (s *stream) flush() error {
	if s.err != nil || len(s.out) == 0 {
		return s.err
	}
	_, s.err = s.Conn.Write(s.out)
	s.out = s.out[:0]
	if s.err != nil {
		s.cut()
	}
	return s.err
}

// take copies frames, and messages in place of their stubs. The caller holds the lock.
func (s *stream) take(b []byte) error {
	if len(s.partial) > 0 {
		s.partial = append(s.partial, b...)
		b = s.partial
	}
	for len(b) >= frameSurplus {
		whole := frameSurplus + int(binary.BigEndian.Uint32(b[3:]))
		if len(b) < whole {
			break
		}
		if err := s.takeFrame(b[:whole]); err != nil {
			return err
		}
		b = b[whole:]
	}
	s.partial = append(s.partial[:0], b...)
	return nil
}

func (s *stream) takeFrame(frame []byte) error {
	channel := binary.BigEndian.Uint16(frame[1:])
	switch frame[0] {
	case frameMethod:
		if number, is := stubNumber(frame[7 : len(frame)-1]); is && number < len(s.desks) {
			if m := s.desks[number].send.Load(); m != nil {
				s.stubbed = append(s.stubbed, channel)
				return s.put(channel, m)
			}
		}
	case frameHeader:
		if i := slices.Index(s.stubbed, channel); i >= 0 {
			s.stubbed = slices.Delete(s.stubbed, i, i+1)
			return nil
		}
	}
	s.out = append(s.out, frame...)
	return nil
}

// stubNumber reads the number of the desk from the arguments of a method: class, method, two bytes that mean nothing,
// an empty exchange, a routing key of two bytes.
func stubNumber(method []byte) (number int, is bool) {
	if len(method) != 11 || binary.BigEndian.Uint16(method) != classBasic || binary.BigEndian.Uint16(method[2:]) != methodPublish ||
		method[6] != 0 || method[7] != 2 || method[8] != 0 {
		return 0, false
	}
	return int(method[9]), true
}

// put writes m: method, header and body. The caller holds the lock.
func (s *stream) put(channel uint16, m *send) error {
	s.out = beginFrame(s.out, frameMethod, channel, 4+2+1+len(m.exchange)+1+len(m.key)+1)
	s.out = append(s.out, 0, classBasic, 0, methodPublish, 0, 0)
	s.out = appendShort(s.out, m.exchange)
	s.out = appendShort(s.out, m.key)
	s.out = append(s.out, flag(m.mandatory || m.expected), frameEnd)

	s.out = beginFrame(s.out, frameHeader, channel, len(m.header))
	s.out = append(s.out, m.header...)
	s.out = append(s.out, frameEnd)

	for rest := m.body; len(rest) > 0; {
		part := rest[:min(len(rest), s.largest)]
		rest = rest[len(part):]
		s.out = beginFrame(s.out, frameBody, channel, len(part))
		s.out = append(s.out, part...)
		s.out = append(s.out, frameEnd)
		if len(s.out) >= fullWrite {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func beginFrame(b []byte, kind byte, channel uint16, size int) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint16(b, channel)
	return binary.BigEndian.AppendUint32(b, uint32(size))
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}
