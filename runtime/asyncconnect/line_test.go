package asyncconnect_test

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// line is a TCP connection to the broker that can be cut.
type line struct {
	target   string
	listener net.Listener
	carried  atomic.Int64 // bytes, both ways

	mu   sync.Mutex
	open map[net.Conn]bool
	down bool
}

func newLine(t *testing.T, url string) *line {
	t.Helper()
	uri, err := amqp091.ParseURI(url)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{target: net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)), listener: listener, open: make(map[net.Conn]bool)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", l.target)
			if err != nil || !l.admit(near, far) {
				_ = near.Close()
				continue
			}
			for to, from := range map[net.Conn]net.Conn{near: far, far: near} {
				wg.Go(func() {
					buffer := make([]byte, 32<<10)
					for {
						n, err := from.Read(buffer)
						l.carried.Add(int64(n))
						if err == nil {
							_, err = to.Write(buffer[:n])
						}
						if err != nil {
							_, _ = to.Close(), from.Close()
							return
						}
					}
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.drop()
		wg.Wait()
	})
	return l
}

func (l *line) url() string { return "amqp://guest:guest@" + l.listener.Addr().String() + "/" }

func (l *line) admit(near, far net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		_ = far.Close()
		return false
	}
	l.open[near], l.open[far] = true, true
	return true
}

func (l *line) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for conn := range l.open {
		_ = conn.Close()
	}
	clear(l.open)
}

// cut drops all connections and refuses new ones for a while.
func (l *line) cut() {
	l.drop()
	<-time.After(time.Second)
	l.mu.Lock()
	l.down = false
	l.mu.Unlock()
}
