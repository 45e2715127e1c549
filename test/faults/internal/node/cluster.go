package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// settings of the members of a cluster. A member that is cut off is noticed within seconds, and one that finds itself in
// the minority stops.
const memberConfig = "cluster_partition_handling = pause_minority\nnet_ticktime = 10\n"

// NewCluster starts nodes that hold their queues together. The caller closes each of them, the first one last.
func NewCluster(ctx context.Context, size int) (nodes []*Node, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, CloseAll(nodes))
			nodes = nil
		}
	}()
	for i := range size {
		n, err := New()
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, n)
		if err := n.member(nodes[0]); err != nil {
			return nodes, err
		}
		if err := n.Start(ctx); err != nil {
			return nodes, err
		}
		if i == 0 {
			continue
		}
		for _, step := range [][]string{{"stop_app"}, {"join_cluster", nodes[0].name}, {"start_app"}} {
			if _, err := n.Control(ctx, step...); err != nil {
				return nodes, err
			}
		}
	}
	return nodes, nil
}

// CloseAll closes nodes, the first one last: its folder holds what all of them share.
func CloseAll(nodes []*Node) error {
	var errs []error
	for _, n := range slices.Backward(nodes) {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// member makes n share the name server and the secret of first.
func (n *Node) member(first *Node) error {
	n.env = append(n.env, "HOME="+first.dir, fmt.Sprintf("ERL_EPMD_PORT=%d", first.epmd))
	path := filepath.Join(n.dir, "rabbitmq.conf")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, memberConfig...), 0o600)
}

// Name is what the node is called among its kind.
func (n *Node) Name() string { return n.name }

// Pause stops every process of the node, which then neither answers nor closes anything: to the others it is cut off.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return errors.New("the node does not run")
	}
	return syscall.Kill(-n.cmd.Process.Pid, s)
}

// Addresses are those of nodes, as a URL names several hosts.
func Addresses(nodes []*Node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.Address())
	}
	return strings.Join(all, ",")
}
