package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/examples/internal/brokertest"
	"github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1/shippingv1async"
	"github.com/asyncpb/async/runtime/transport"
)

// patience is how long the test waits for something that should take a moment.
const patience = 30 * time.Second

func TestTheServicesRunInProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	url, namespace := brokertest.RabbitMQ(t, groups)
	binaries := build(t)

	orders := start(t, binaries, "orders", "ASYNC_TRANSPORT="+url, "ORDERS_NAMESPACE="+namespace)
	orders.await(t, "waiting for billing")
	billing := start(t, binaries, "billing", "ASYNC_TRANSPORT="+url, "ORDERS_NAMESPACE="+namespace)
	// Commands wait for their first consumer.
	billing.await(t, "▶  Ship      A-3")
	shipping := start(t, binaries, "shipping", "ASYNC_TRANSPORT="+url, "ORDERS_NAMESPACE="+namespace)
	orders.await(t, "A-4: there is no article")
	orders.await(t, "Shipped   A-1")
	orders.await(t, "Shipped   A-2")
	shipping.await(t, "rejected")
	for _, service := range []*service{orders, billing, shipping} {
		service.end(t)
	}

	printed := orders.output() + billing.output() + shipping.output()
	printed = strings.ReplaceAll(printed, "  orders    …  Quote     waiting for billing\n", "")
	want := append([]string{
		"Dead letters", buried,
		transport.DeadName(namespace+"."+shippingv1async.ShippingShipTopic, shippingv1async.ShippingName),
	}, story...)
	if diff := cmp.Diff(lines(strings.Join(want, "\n")), lines(printed)); diff != "" {
		t.Errorf("printed by the three, in alphabetical order (-want +got):\n%s", diff)
	}
}

func TestAServiceAloneNeedsABroker(t *testing.T) {
	t.Parallel()
	binaries := build(t)
	tests := map[string]struct{ transport, want string }{
		"without ASYNC_TRANSPORT it says what to set":       {"", "ASYNC_TRANSPORT is not set; set it"},
		"a broker in its own memory is refused as volatile": {"ASYNC_TRANSPORT=memory://", "a durable transport is required"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := command(t, binaries, "billing", test.transport).CombinedOutput()
			if err == nil || !strings.Contains(string(output), test.want) {
				t.Errorf("got %v and %q, want an error that holds %q", err, output, test.want)
			}
		})
	}
}

var building struct {
	sync.Once
	directory string
	err       error
}

// build compiles the three programs once for all tests.
func build(t *testing.T) (directory string) {
	t.Helper()
	building.Do(func() {
		building.directory, building.err = os.MkdirTemp("", "orders-") //nolint:usetesting // it outlives the test that builds
		if building.err != nil {
			return
		}
		var output []byte
		output, building.err = exec.Command("go", "build", "-o", building.directory+"/", "./cmd/...").CombinedOutput()
		if building.err != nil {
			t.Errorf("%s", output)
		}
	})
	if building.err != nil {
		t.Fatalf("build the services: %v", building.err)
	}
	return building.directory
}

func command(t *testing.T, binaries, name string, variables ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, name), "-config", "cmd/async.yaml")
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ASYNC_TRANSPORT=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	for _, variable := range variables {
		if variable != "" {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

// service is a program that runs.
type service struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid when done is closed
	out  output
	log  output
}

func start(t *testing.T, binaries, name string, variables ...string) *service {
	t.Helper()
	s := &service{name: name, cmd: command(t, binaries, name, variables...), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(s.done)
		s.err = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
	})
	return s
}

func (s *service) output() string { return s.out.String() }

// await waits until the service has printed text.
func (s *service) await(t *testing.T, text string) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	late := time.After(patience)
	for !strings.Contains(s.output(), text) {
		select {
		case <-look.C:
		case <-s.done:
			t.Fatalf("%s ended (%v) and has not printed %q, but:\n%s%s", s.name, s.err, text, s.output(), s.log.String())
		case <-late:
			t.Fatalf("%s has not printed %q, but:\n%s%s", s.name, text, s.output(), s.log.String())
		}
	}
}

// end asks the service to end and waits until it has, without an error.
func (s *service) end(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		t.Fatalf("%s did not end on SIGTERM:\n%s", s.name, s.log.String())
	}
	if s.err != nil {
		t.Errorf("%s: %v:\n%s", s.name, s.err, s.log.String())
	}
}

// output collects what a program writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
