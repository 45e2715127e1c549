package asyncconnect_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	amqp091 "github.com/rabbitmq/amqp091-go"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// fullBars asks for the sizes that make bars uses, and for a broker of the test's own that is really restarted.
var fullBars = os.Getenv("ASYNC_TEST_BARS") == "full"

// TestBarEveryCallEndsWhenTheBrokerRestarts lets 64 callers make requests while the broker goes and comes back: every call ends with
// its own reply or with a clear code, within its deadline.
func TestBarEveryCallEndsWhenTheBrokerRestarts(t *testing.T) {
	if !fullBars {
		t.Parallel()
	}
	const (
		callers  = 64
		deadline = 30 * time.Second
		slack    = 2 * time.Second
	)
	requests, p := 2000, newPlace(t, rabbitMQ)
	var interrupt func()
	if fullBars {
		node := startNode(t)
		requests, p.url, interrupt = 10_000, node.url(), node.restart
	} else {
		wire := newLine(t, p.url)
		p.url, interrupt = wire.url(), wire.cut
	}

	server := connect.NewServer()
	callsv1connect.RegisterCallsHandler(server, echoes{rows: map[string]call{"": {handle: echo}}})
	responder := p.open(t, "version: 1\n")
	if err := asyncconnect.Serve(responder, server); err != nil {
		t.Fatal(err)
	}
	run(t, responder)
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(p.open(t, "version: 1\nbindings: {acme.calls.v1.Calls/Echo: {timeout: 60s}}\n"))))

	var (
		next    atomic.Int64
		wg      sync.WaitGroup
		mu      sync.Mutex
		codes   = make(map[connect.Code]int)
		longest time.Duration
		half    = make(chan struct{})
	)
	begin := time.Now()
	for range callers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(requests) {
					return
				}
				if n == int64(requests)/4 {
					close(half)
				}
				start := time.Now()
				code := askOnce(t, client, strconv.FormatInt(n, 10), deadline)
				mu.Lock()
				codes[code]++
				longest = max(longest, time.Since(start))
				mu.Unlock()
			}
		})
	}
	receive(t, half)
	interrupt()
	wg.Wait()
	t.Logf("%d calls in %s, the longest %s: %v", requests, time.Since(begin).Round(time.Millisecond), longest.Round(time.Millisecond), codes)
	if longest > deadline+slack {
		t.Errorf("a call took %s, its deadline is %s", longest, deadline)
	}
	answered := codes[0]
	for code, n := range codes {
		switch code {
		case 0, connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeUnknown:
		default:
			t.Errorf("%d calls ended with %s", n, code)
		}
	}
	if answered < requests/2 {
		t.Errorf("only %d of %d calls were answered", answered, requests)
	}
}

// askOnce makes one call, whose reply has to be its own, and returns how it ended; 0 is a reply.
func askOnce(t *testing.T, client callsv1connect.CallsClient, text string, timeout time.Duration) connect.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	res, err := client.Echo(ctx, &callsv1.EchoRequest{Payload: []byte(text)})
	if err != nil {
		return connect.CodeOf(err)
	}
	if got := string(res.GetPayload()); got != text {
		t.Errorf("the caller of %s got the reply to %s", text, got)
	}
	return 0
}

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

// node is a RabbitMQ of the test's own.
type node struct {
	t       *testing.T
	folder  string
	port    int
	dist    int
	process *exec.Cmd
}

func startNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, folder: t.TempDir(), port: freePort(t), dist: freePort(t)}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func (n *node) url() string { return "amqp://guest:guest@127.0.0.1:" + strconv.Itoa(n.port) + "/" }

func (n *node) start() {
	n.t.Helper()
	// Debian's wrapper changes the user; the script itself does not.
	n.process = exec.Command("/usr/lib/rabbitmq/bin/rabbitmq-server")
	n.process.Env = append(os.Environ(),
		"RABBITMQ_NODENAME=bar"+strconv.Itoa(n.port)+"@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+strconv.Itoa(n.port), "RABBITMQ_DIST_PORT="+strconv.Itoa(n.dist),
		"RABBITMQ_MNESIA_BASE="+n.folder, "RABBITMQ_LOG_BASE="+n.folder, "HOME="+n.folder,
		"RABBITMQ_PID_FILE="+filepath.Join(n.folder, "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(n.folder, "plugins"),
	)
	n.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.process.Start(); err != nil {
		n.t.Fatalf("a full run needs RabbitMQ's own scripts: %v", err)
	}
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		conn, err := amqp091.Dial(n.url())
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			n.t.Fatalf("the node does not answer: %v", err)
		}
	}
}

// stop ends the node as an operator does, and its group, which is its alone.
func (n *node) stop() {
	_ = syscall.Kill(-n.process.Process.Pid, syscall.SIGTERM)
	_ = n.process.Wait()
}

func (n *node) restart() {
	n.stop()
	n.start()
}
