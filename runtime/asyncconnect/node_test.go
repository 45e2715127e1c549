package asyncconnect_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

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

// stop ends the node as an operator does.
func (n *node) stop() { n.end(syscall.SIGTERM) }

// end ends the node's group, which is its alone.
func (n *node) end(signal syscall.Signal) {
	_ = syscall.Kill(-n.process.Process.Pid, signal)
	_ = n.process.Wait()
}

// restart ends the node and returns when it takes connections again.
func (n *node) restart(signal syscall.Signal) {
	n.end(signal)
	n.start()
}
