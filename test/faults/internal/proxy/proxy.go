// Package proxy is a network that can be made worse: it stands between a program and its broker.
package proxy

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// Weather is how the network behaves. The zero value lets everything through.
type Weather struct {
	// HoldRequests keeps back what goes to the broker, HoldReplies what comes from it. Nothing is closed.
	HoldRequests, HoldReplies bool
	// Latency delays each piece of data in each direction, give or take up to Jitter.
	Latency, Jitter time.Duration
	// Bandwidth is how many bytes a second go in each direction of a connection; 0 is no limit.
	Bandwidth int
	// Slice is the largest piece that is written at once; 0 is no limit.
	Slice int
	// Linger keeps the other side of a connection open for so long after one side has closed.
	Linger time.Duration
}

// Proxy forwards TCP connections to one address. Its methods may be called from many goroutines at once.
type Proxy struct {
	listener net.Listener
	target   string
	ctx      context.Context
	cancel   context.CancelFunc
	work     sync.WaitGroup

	mu      sync.Mutex
	weather Weather
	changed chan struct{} // closed when the weather changes
	conns   map[*net.TCPConn]bool
	asked   int // calls of Misack
	wrong   int // acknowledgements that nobody asked the proxy's client for
	carried int64
}

// New starts a proxy for target, a host and a port, at a free port of this machine. The caller closes it.
func New(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{listener: listener, target: target, ctx: ctx, cancel: cancel, changed: make(chan struct{}), conns: make(map[*net.TCPConn]bool)}
	p.work.Go(p.accept)
	return p, nil
}

// Address is the host and port to connect to.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Set changes the weather, for open connections too.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut resets every connection, both ways, and returns how many there were. New ones can be made.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.conns) / 2
	for c := range p.conns {
		// A linger of zero makes the close a reset. What fails here was closed already.
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	return n
}

// Misack has every client that speaks AMQP acknowledge, once, a delivery that it never got, on the channel of its next
// message or acknowledgement. The broker closes such a channel.
func (p *Proxy) Misack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
}

// Misacked is how many such acknowledgements were sent.
func (p *Proxy) Misacked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrong
}

// Carried is how many bytes have gone to the broker.
func (p *Proxy) Carried() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.carried
}

// Close cuts everything and waits until nothing is left.
func (p *Proxy) Close() {
	p.cancel()
	_ = p.listener.Close()
	p.Cut()
	p.work.Wait()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.connect(conn) })
	}
}

func (p *Proxy) connect(conn net.Conn) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	upstream, err := dialer.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		_ = conn.Close()
		return
	}
	client, ok1 := conn.(*net.TCPConn)
	server, ok2 := upstream.(*net.TCPConn)
	if !ok1 || !ok2 || !p.keep(client, server) {
		_ = conn.Close()
		_ = upstream.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pipe(server, client, func(w Weather) bool { return w.HoldRequests }, p.misacking(), p.count) })
	both.Go(func() { p.pipe(client, server, func(w Weather) bool { return w.HoldReplies }, asItIs, func(int) {}) })
	both.Wait()
}

// keep remembers a pair of connections; false when the proxy has been closed.
func (p *Proxy) keep(client, server *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

// misacking returns what adds the wrong acknowledgements to the requests of one connection.
func (p *Proxy) misacking() editFunc {
	var f frames
	p.mu.Lock()
	done := p.asked
	p.mu.Unlock()
	return func(data []byte) []byte {
		at, channel := f.next(data)
		p.mu.Lock()
		defer p.mu.Unlock()
		if at < 0 || done == p.asked {
			return data
		}
		done = p.asked
		p.wrong++
		return slices.Concat(data[:at], misack(channel), data[at:])
	}
}

func (p *Proxy) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.carried += int64(n)
}

// editFunc changes what goes over a connection.
type editFunc func(data []byte) []byte

func asItIs(data []byte) []byte { return data }

// pipe copies until one side is gone, and then takes the other with it.
func (p *Proxy) pipe(to, from *net.TCPConn, held func(Weather) bool, edit editFunc, sent func(int)) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err == nil {
			err = p.forward(to, edit(buffer[:n]), held, sent)
		}
		if err != nil {
			break
		}
	}
	p.mu.Lock()
	linger := p.weather.Linger
	p.mu.Unlock()
	p.wait(linger)
	_ = to.Close()
	_ = from.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, to)
	delete(p.conns, from)
}

// forward writes what was read, as the weather has it.
func (p *Proxy) forward(to *net.TCPConn, data []byte, held func(Weather) bool, sent func(int)) error {
	w := p.open(held)
	delay := w.Latency
	if w.Jitter > 0 {
		delay += time.Duration(rand.Int64N(2*int64(w.Jitter)+1)) - w.Jitter
	}
	if w.Bandwidth > 0 {
		delay += time.Second * time.Duration(len(data)) / time.Duration(w.Bandwidth)
	}
	p.wait(delay)
	p.open(held)
	for len(data) > 0 {
		n := len(data)
		if w.Slice > 0 {
			n = min(n, w.Slice)
		}
		sent(n)
		if _, err := to.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return p.ctx.Err()
}

// open waits until nothing is held back and returns the weather.
func (p *Proxy) open(held func(Weather) bool) Weather {
	for {
		p.mu.Lock()
		w, changed := p.weather, p.changed
		p.mu.Unlock()
		if !held(w) {
			return w
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
			return Weather{}
		}
	}
}

func (p *Proxy) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}
