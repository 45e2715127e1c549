// Package node is a RabbitMQ server of the trial's own, which may be killed: it has its own name, ports and folders, and
// shares nothing with a server that runs on the machine.
package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a node may take to start and to stop, and one command of rabbitmqctl to answer.
const (
	startTimeout   = 90 * time.Second
	stopTimeout    = 30 * time.Second
	commandTimeout = 40 * time.Second
)

// homes is where distributions keep the server's own scripts, which run as any user. Those of the path may insist on one.
var homes = []string{"/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/sbin"}

// Node is one server. Start and the ends of it are called by one goroutine at a time.
type Node struct {
	dir, scripts string
	name         string
	port, epmd   int
	env          []string

	mu     sync.Mutex
	cmd    *exec.Cmd
	output *os.File
	exited chan struct{}
}

// New prepares a node in a folder of its own below the folder for temporary files. The caller calls Close.
func New() (*Node, error) {
	scripts, err := findScripts()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "async-faults-node-")
	if err != nil {
		return nil, err
	}
	n := &Node{dir: dir, scripts: scripts}
	if err := n.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return n, nil
}

func findScripts() (string, error) {
	for _, home := range homes {
		if _, err := os.Stat(filepath.Join(home, "rabbitmq-server")); err == nil {
			return home, nil
		}
	}
	if path, err := exec.LookPath("rabbitmq-server"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("no rabbitmq-server on this machine; install the package rabbitmq-server")
}

func (n *Node) prepare() error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	n.port, n.epmd = ports[0], ports[2]
	n.name = "async-faults-" + strconv.Itoa(n.port) + "@localhost"
	file := func(name string) string { return filepath.Join(n.dir, name) }
	config := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nlog.console = false\nvm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n", n.port)
	for name, text := range map[string]string{"rabbitmq.conf": config, "enabled_plugins": "[].\n", "env.conf": ""} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	n.env = append(os.Environ(),
		"HOME="+n.dir,
		"RABBITMQ_NODENAME="+n.name,
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+strconv.Itoa(n.port),
		"RABBITMQ_DIST_PORT="+strconv.Itoa(ports[1]),
		"ERL_EPMD_PORT="+strconv.Itoa(ports[2]),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_CONFIG_FILE="+file("rabbitmq.conf"),
		"RABBITMQ_CONF_ENV_FILE="+file("env.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+file("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE="+file("data"),
		"RABBITMQ_LOG_BASE="+file("log"),
		"RABBITMQ_PID_FILE="+file("pid"),
	)
	return nil
}

// freePorts finds ports that nothing listens to at present.
func freePorts(count int) ([]int, error) {
	var ports []int
	var held []net.Listener
	defer func() {
		for _, listener := range held {
			_ = listener.Close()
		}
	}()
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// All are held until the last is found, so that they differ.
		held = append(held, listener)
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("%s is no TCP address", listener.Addr())
		}
		ports = append(ports, address.Port)
	}
	return ports, nil
}

// Address is the host and port that the node listens to.
func (n *Node) Address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

// Start starts the node and returns when it takes connections. It may be called again after an end.
func (n *Node) Start(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.Await(ctx)
}

// Launch starts the node and does not wait for it.
func (n *Node) Launch() error {
	output, err := os.OpenFile(filepath.Join(n.dir, "output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	// The scripts start other processes; a group of its own lets all of them be ended together.
	cmd := exec.Command(filepath.Join(n.scripts, "rabbitmq-server")) //nolint:gosec // the server of this machine
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = n.env, output, output, n.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, output.Close())
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd, n.output, n.exited = cmd, output, exited
	return nil
}

// Await returns when the node takes connections.
func (n *Node) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if n.speaks(ctx) {
			return nil
		}
		select {
		case <-n.exited:
			return fmt.Errorf("rabbitmq-server ended: %s", n.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("rabbitmq-server does not answer: %w: %s", context.Cause(ctx), n.lastWords())
		case <-ticker.C:
		}
	}
}

// speaks asks for AMQP and reports whether a method frame came back.
func (n *Node) speaks(ctx context.Context) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", n.Address())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if conn.SetDeadline(time.Now().Add(2*time.Second)) != nil {
		return false
	}
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return false
	}
	first := make([]byte, 1)
	_, err = conn.Read(first)
	return err == nil && first[0] == 1
}

func (n *Node) lastWords() string {
	text, err := os.ReadFile(filepath.Join(n.dir, "output"))
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-500):])
}

// Running says whether the node was started and not ended.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd != nil
}

// CopyLogs copies what the node wrote to its logs into a folder.
func (n *Node) CopyLogs(folder string) error {
	return os.CopyFS(folder, os.DirFS(filepath.Join(n.dir, "log")))
}

// Kill ends the node without a warning.
func (n *Node) Kill() error { return n.end(syscall.SIGKILL) }

// Stop has the node end as it does when the machine is shut down.
func (n *Node) Stop() error {
	text, err := os.ReadFile(filepath.Join(n.dir, "pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-n.exited:
		return n.end(syscall.SIGKILL)
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("rabbitmq-server did not stop within %s", stopTimeout), n.Kill())
	}
}

func (n *Node) end(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return nil
	}
	pid := n.cmd.Process.Pid
	n.cmd = nil
	// The group is gone when the node has ended by itself.
	if err := syscall.Kill(-pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-n.exited
	return n.output.Close()
}

// Control runs rabbitmqctl with arguments against this node and returns what it printed.
func (n *Node) Control(ctx context.Context, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(n.scripts, "rabbitmqctl"), append([]string{"--quiet"}, arguments...)...) //nolint:gosec // the arguments are those of trials
	cmd.Env = n.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(arguments, " "), err, bytes.TrimSpace(out))
	}
	return string(bytes.TrimSpace(out)), nil
}

// Close kills the node, the name server that came with it, and removes its folder.
func (n *Node) Close() error {
	err := n.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	if epmd, lookErr := exec.LookPath("epmd"); lookErr == nil {
		cmd := exec.CommandContext(ctx, epmd, "-kill") //nolint:gosec // the name server of this machine
		cmd.Env = n.env
		// It is not there if the node never started.
		_ = cmd.Run()
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}
