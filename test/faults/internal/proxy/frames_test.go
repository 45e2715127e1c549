package proxy_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/asyncpb/async/test/faults/internal/proxy"
)

// method is a frame that calls a method of AMQP.
func method(channel, class, id uint16, arguments ...byte) []byte {
	frame := binary.BigEndian.AppendUint16([]byte{1}, channel)
	frame = binary.BigEndian.AppendUint32(frame, uint32(4+len(arguments)))
	frame = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(frame, class), id)
	return append(append(frame, arguments...), 0xce)
}

func TestMisackIsAFrameOfItsOwnBeforeOneOfAMessage(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	p, err := proxy.New(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	client, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	if err := server.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	arrives := func(write []byte, want ...[]byte) {
		t.Helper()
		if _, err := client.Write(write); err != nil {
			t.Fatal(err)
		}
		all := bytes.Join(want, nil)
		got := make([]byte, len(all))
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, all) {
			t.Fatalf("got %x, want %x: %v", got, all, err)
		}
	}
	open, ack := method(7, 20, 10, 0), method(7, 60, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0)
	wrong := method(7, 60, 80, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	hello := []byte("AMQP\x00\x00\x09\x01")
	arrives(hello, hello)
	arrives(ack, ack)
	p.Misack()
	arrives(open[:9], open[:9])
	if n := p.Misacked(); n != 0 {
		t.Errorf("%d wrong acknowledgements before there was one", n)
	}
	arrives(append(bytes.Clone(open[9:]), ack...), open[9:], wrong, ack)
	arrives(ack, ack)
	if n := p.Misacked(); n != 1 {
		t.Errorf("%d wrong acknowledgements, want 1", n)
	}
}
