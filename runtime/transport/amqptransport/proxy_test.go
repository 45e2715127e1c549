package amqptransport_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

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
	closed   bool
	// hangingUp ends connections after their handshakes, and greeted counts these.
	hangingUp bool
	greeted   int

	// What alters the broker's answers to publications, and how many channels there were.
	mute, spoiling, holdingUp, refusingAll bool
	opened                                 int
	// declared counts the requests for queues.
	declared int
	// leaderless lets the requests for consumers vanish, and asked counts those.
	leaderless bool
	asked      int
	// uncounted is how many more looks at a queue find nothing in it, thinking is how long each of them takes at least.
	uncounted int
	thinking  time.Duration
}

// pipe is one connection through the proxy.
type pipe struct {
	client, server net.Conn
	out            sync.Mutex // held for one frame to the client
	// publishing are the channels with confirms, stale those of them that were so when the proxy began to alter them.
	publishing, stale map[uint16]bool
	jammed            bool // no channel opens any more
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
		pp := &pipe{client: client, server: server, publishing: make(map[uint16]bool), stale: make(map[uint16]bool)}
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
	r := bufio.NewReader(pp.client)
	for chunk := make([]byte, 8); ; { // the protocol's name, and then frames
		if _, err := io.ReadFull(r, chunk); err != nil || !p.pass(true) {
			return
		}
		if !p.swallows(chunk) {
			if _, err := pp.server.Write(chunk); err != nil {
				return
			}
		}
		var err error
		if chunk, err = nextFrame(r); err != nil {
			return
		}
	}
}

// nextFrame waits for the next frame of r and returns the room for it; r still has it.
func nextFrame(r *bufio.Reader) ([]byte, error) {
	header, err := r.Peek(7)
	if err != nil {
		return nil, err
	}
	return make([]byte, len(header)+int(binary.BigEndian.Uint32(header[3:]))+1), nil
}

// swallows reports whether the broker never gets frame.
func (p *proxy) swallows(frame []byte) bool {
	if frame[0] != frameOfMethod || len(frame) < 11 {
		return false
	}
	class, method := binary.BigEndian.Uint16(frame[7:]), binary.BigEndian.Uint16(frame[9:])
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case class == classBasic && method == basicConsume && p.leaderless:
		p.asked++
		return true
	case class == classQueue && method == queueDeclare:
		p.declared++
	default:
	}
	return false
}

// declarations is how often somebody asked for a queue.
func (p *proxy) declarations() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.declared
}

// leave does what RabbitMQ does while a quorum queue has no leader: who wants to consume gets no answer.
func (p *proxy) leave(on bool) {
	p.mu.Lock()
	p.leaderless = on
	p.mu.Unlock()
}

// unanswered is how many requests for consumers have vanished.
func (p *proxy) unanswered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *proxy) toClient(pp *pipe) {
	defer p.drop(pp)
	r := bufio.NewReader(pp.server)
	for {
		frame, err := nextFrame(r)
		if err != nil {
			return
		}
		if _, err := io.ReadFull(r, frame); err != nil || !p.pass(false) {
			return
		}
		if p.alters(pp, frame) {
			continue
		}
		if thinking := p.hides(frame); thinking > 0 {
			<-time.After(thinking)
		}
		pp.out.Lock()
		_, err = pp.client.Write(frame)
		pp.out.Unlock()
		if err != nil || p.hangsUp(frame) {
			return
		}
	}
}

// hides makes the answer to a look at a queue say that there is nothing, and returns how much later it is to come.
func (p *proxy) hides(frame []byte) time.Duration {
	if frame[0] != frameOfMethod || binary.BigEndian.Uint16(frame[7:]) != classQueue || binary.BigEndian.Uint16(frame[9:]) != queueDeclareOK {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uncounted == 0 {
		return 0
	}
	p.uncounted--
	clear(frame[len(frame)-9 : len(frame)-1])
	return p.thinking
}

// hide does what RabbitMQ does while the leader of a quorum queue does not answer it: the next looks, so many of them, find
// neither messages nor consumers, after thinking.
func (p *proxy) hide(looks int, thinking time.Duration) {
	p.mu.Lock()
	p.uncounted, p.thinking = looks, thinking
	p.mu.Unlock()
}

// hangsUp reports whether the connection ends now, after the last word of its handshake.
func (p *proxy) hangsUp(frame []byte) bool {
	if frame[0] != frameOfMethod || binary.BigEndian.Uint16(frame[7:]) != classConnection || binary.BigEndian.Uint16(frame[9:]) != openOK {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.greeted++
	return p.hangingUp
}

// hangUp lets connections end right after their handshakes, or no longer, and returns how many handshakes there were so far.
func (p *proxy) hangUp(on bool) (greeted int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangingUp = on
	return p.greeted
}

// What the proxy looks for in frames: their type, and classes and methods of AMQP.
const (
	frameOfMethod = 1

	classConnection = 10
	openOK          = 41

	classChannel   = 20
	channelOpenOK  = 11
	channelEndOK   = 41
	classQueue     = 50
	queueDeclare   = 10
	queueDeclareOK = 11
	classBasic     = 60
	basicConsume   = 20
	basicAck       = 80
	basicNack      = 120
	classConfirm   = 85
	selectOK       = 11
)

// alters changes what the broker says on a publishing channel, and reports whether it lets frame vanish.
func (p *proxy) alters(pp *pipe, frame []byte) (vanishes bool) {
	if frame[0] != frameOfMethod {
		return false
	}
	channel, class, method := binary.BigEndian.Uint16(frame[1:]), binary.BigEndian.Uint16(frame[7:]), binary.BigEndian.Uint16(frame[9:])
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case class == classChannel && method == channelOpenOK && pp.jammed:
		return true
	case class == classChannel && method == channelOpenOK:
		p.opened++
		delete(pp.publishing, channel)
		delete(pp.stale, channel)
	case class == classConfirm && method == selectOK:
		pp.publishing[channel] = true
	case p.mute && pp.stale[channel]:
		return class == classChannel && method == channelEndOK || class == classBasic && (method == basicAck || method == basicNack)
	case class == classBasic && method == basicAck && (p.refusingAll || p.spoiling && pp.stale[channel]):
		binary.BigEndian.PutUint16(frame[9:], basicNack)
		if p.holdingUp {
			frame[19] = 0 // this message alone, and no other any more
			p.mute = true
		}
	default:
	}
	return false
}

// forget lets the broker's confirms vanish, and its consent to the end of a channel, on the channels that publish now.
func (p *proxy) forget() { p.outdate(func() { p.mute = true }) }

// jam is forget, and lets no channel open on the connections that there are.
func (p *proxy) jam() {
	p.outdate(func() {
		p.mute = true
		for pp := range p.pipes {
			pp.jammed = true
		}
	})
}

// spoil makes refusals of the confirms on the channels that publish now.
func (p *proxy) spoil() { p.outdate(func() { p.spoiling = true }) }

// holdUp makes a refusal of the next confirm on the channels that publish now. It is the last answer that they give.
func (p *proxy) holdUp() { p.outdate(func() { p.spoiling, p.holdingUp = true, true }) }

// refuseAll makes refusals of all confirms, on channels to come too.
func (p *proxy) refuseAll() { p.outdate(func() { p.refusingAll = true }) }

func (p *proxy) outdate(set func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set()
	for pp := range p.pipes {
		maps.Copy(pp.stale, pp.publishing)
	}
}

// channels is how many channels were opened so far.
func (p *proxy) channels() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
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
