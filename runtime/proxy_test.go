package async_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

// proxy stands between a runtime and RabbitMQ, and can cut what goes through it.
type proxy struct {
	listener net.Listener
	broker   string
	work     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	c, err := transport.ParseURL(amqpURL())
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: listener, broker: c.URL.Host, conns: make(map[net.Conn]bool)}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		p.work.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.broker)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.work.Go(func() { p.pipe(client, server) })
		p.work.Go(func() { p.pipe(server, client) })
	}
}

// pipe copies until one side is gone, and then takes the other with it.
func (p *proxy) pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, to)
	delete(p.conns, from)
}

// cut closes every connection; new ones can be made.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}
