package amqptransport_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

// proxy stands between a transport and the broker and breaks the connections in the ways that networks and brokers
// do. It knows AMQP's frames, so that it can speak for a broker that is out of memory.
type proxy struct {
	broker   string
	listener net.Listener
	work     sync.WaitGroup

	mu       sync.Mutex
	open     sync.Cond
	pipes    map[*pipe]bool
	silent   bool
	blocking bool
	refusing bool
	mute     bool
	spoiling bool
	// spoilingAll: new channels are no better.
	spoilingAll bool
	opened      int // channels
	closed      bool
}

// pipe is one connection through the proxy.
type pipe struct {
	client, server net.Conn
	out            sync.Mutex // held for one frame to the client
	fresh          map[uint16]bool
}

func newProxy(t testing.TB) *proxy {
	t.Helper()
	c, err := transport.ParseURL(brokerURL())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{broker: c.URL.Host, listener: listener, pipes: make(map[*pipe]bool)}
	p.open.L = &p.mu
	p.work.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.open.Broadcast()
		p.mu.Unlock()
		_ = listener.Close()
		p.cut()
		p.work.Wait()
	})
	return p
}

// config is the configuration of a transport that goes through the proxy.
func (p *proxy) config(t testing.TB) transport.Config {
	t.Helper()
	c := brokerConfig(t, brokerURL())
	c.URL.Host = p.listener.Addr().String()
	return c
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refusing := p.refusing
		p.mu.Unlock()
		if refusing {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("tcp", p.broker)
		if err != nil {
			_ = client.Close()
			continue
		}
		pp := &pipe{client: client, server: server, fresh: make(map[uint16]bool)}
		p.mu.Lock()
		p.pipes[pp] = true
		p.mu.Unlock()
		p.work.Go(func() { p.toServer(pp) })
		p.work.Go(func() { p.toClient(pp) })
	}
}

// pass waits while the proxy holds everything back. It reports false at the end.
func (p *proxy) pass(towardsServer bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && (p.silent || (towardsServer && p.blocking)) {
		p.open.Wait()
	}
	return !p.closed
}

func (p *proxy) toServer(pp *pipe) {
	defer p.drop(pp)
	buffer := make([]byte, 32<<10)
	for {
		n, err := pp.client.Read(buffer)
		if err != nil || !p.pass(true) {
			return
		}
		if _, err := pp.server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) toClient(pp *pipe) {
	defer p.drop(pp)
	r := bufio.NewReader(pp.server)
	header := make([]byte, 7)
	for {
		if _, err := io.ReadFull(r, header); err != nil {
			return
		}
		frame := make([]byte, len(header)+int(binary.BigEndian.Uint32(header[3:]))+1)
		copy(frame, header)
		if _, err := io.ReadFull(r, frame[len(header):]); err != nil || !p.pass(false) {
			return
		}
		if p.swallows(frame) {
			continue
		}
		p.spoilConfirm(pp, frame)
		pp.out.Lock()
		_, err := pp.client.Write(frame)
		pp.out.Unlock()
		if err != nil {
			return
		}
	}
}

// swallows reports whether frame is a confirm, while the broker's confirms are swallowed.
func (p *proxy) swallows(frame []byte) bool {
	const method, class, ack, nack = 1, 60, 80, 120
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mute || frame[0] != method || binary.BigEndian.Uint16(frame[7:]) != class {
		return false
	}
	is := binary.BigEndian.Uint16(frame[9:])
	return is == ack || is == nack
}

// spoil makes refusals of the confirms on every channel that is open now, and with all on those to come too.
func (p *proxy) spoil(all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoiling, p.spoilingAll = true, all
	for pp := range p.pipes {
		clear(pp.fresh)
	}
}

// spoilConfirm makes the refusal, and keeps count of the channels.
func (p *proxy) spoilConfirm(pp *pipe, frame []byte) {
	const method, basic, ack, nack = 1, 60, 80, 120
	const channelClass, openOK = 20, 11
	if frame[0] != method {
		return
	}
	channel, class, is := binary.BigEndian.Uint16(frame[1:]), binary.BigEndian.Uint16(frame[7:]), binary.BigEndian.Uint16(frame[9:])
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case class == channelClass && is == openOK:
		p.opened++
		pp.fresh[channel] = true
	case class == basic && is == ack && p.spoiling && (p.spoilingAll || !pp.fresh[channel]):
		binary.BigEndian.PutUint16(frame[9:], nack)
	default:
	}
}

// channels is how many channels were opened so far.
func (p *proxy) channels() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// forget lets the broker's confirms vanish, and nothing else.
func (p *proxy) forget(on bool) {
	p.mu.Lock()
	p.mute = on
	p.mu.Unlock()
}

func (p *proxy) drop(pp *pipe) {
	_ = pp.client.Close()
	_ = pp.server.Close()
	p.mu.Lock()
	delete(p.pipes, pp)
	p.mu.Unlock()
}

// cut resets every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pp := range p.pipes {
		for _, conn := range []net.Conn{pp.client, pp.server} {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	}
}

// refuse closes every new connection at once, as what stands in front of a broker does while that is away.
func (p *proxy) refuse(on bool) {
	p.mu.Lock()
	p.refusing = on
	p.mu.Unlock()
}

// silence holds back everything, both ways, without closing anything.
func (p *proxy) silence(on bool) {
	p.mu.Lock()
	p.silent = on
	p.open.Broadcast()
	p.mu.Unlock()
}

// block does what RabbitMQ does while it is short of memory: it says so, and reads nothing more.
func (p *proxy) block() {
	reason := "low on memory"
	p.announce(append([]byte{0, 10, 0, 60, byte(len(reason))}, reason...), true)
}

func (p *proxy) unblock() { p.announce([]byte{0, 10, 0, 61}, false) }

func (p *proxy) announce(method []byte, blocking bool) {
	frame := binary.BigEndian.AppendUint32([]byte{1, 0, 0}, uint32(len(method)))
	frame = append(append(frame, method...), 0xCE)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocking = blocking
	p.open.Broadcast()
	for pp := range p.pipes {
		pp.out.Lock()
		_, _ = pp.client.Write(frame)
		pp.out.Unlock()
	}
}
