// Package access_test proves what users of a broker may do with which rights, and what becomes of what an operator took
// away, on a RabbitMQ of its own.
package access_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
	"github.com/asyncpb/async/test/faults/internal/node"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// broker is the node of this package's tests. Each test has a vhost of its own on it.
var broker *node.Node

func TestMain(m *testing.M) {
	code, err := runWithBroker(m)
	if err == nil && code == 0 {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runWithBroker(m *testing.M) (code int, err error) {
	if broker, err = node.New(); err != nil {
		return 1, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := broker.Start(ctx); err != nil {
		_ = broker.Close()
		return 1, err
	}
	code = m.Run()
	return code, broker.Close()
}

func control(t *testing.T, arguments ...string) {
	t.Helper()
	if _, err := broker.Control(context.Background(), arguments...); err != nil {
		t.Fatal(err)
	}
}

// rights are RabbitMQ's three patterns; none is the empty one.
type rights struct{ configure, write, read string }

var all = rights{configure: ".*", write: ".*", read: ".*"}

// newUser makes a user of vhost, for as long as the node lives.
func newUser(t *testing.T, vhost, name, password string, r rights) {
	t.Helper()
	control(t, "add_user", name, password)
	control(t, "set_permissions", "--vhost", vhost, name, "^("+r.configure+")$", "^("+r.write+")$", "^("+r.read+")$")
}

func newVhost(t *testing.T) string {
	t.Helper()
	control(t, "add_vhost", t.Name())
	return t.Name()
}

// file writes a file of the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configuration is how the user logs in, and who declares.
func configuration(t *testing.T, vhost, user, password, declare string) string {
	t.Helper()
	return file(t, "async.yaml", fmt.Sprintf(`version: 1
app: billing
namespace: prod
transports:
  main: {url: "amqp://%s/%s", credentials_file: %q, declare: %s}
defaults: {retry: {max_attempts: 2, min_backoff: 10ms}, send_timeout: 20s}
`, broker.Address(), vhost, file(t, "credentials", user+":"+password), declare))
}

func open(t *testing.T, config string, opts ...async.Option) *async.Runtime {
	t.Helper()
	rt, err := async.Open(t.Context(), append([]async.Option{async.WithConfigFile(config), async.WithDrainTimeout(10 * time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return rt
}

// run runs rt until the end of the test.
func run(t *testing.T, rt *async.Runtime) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-rt.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run returned: %v", err)
	case <-time.After(patience):
		t.Fatal("Run is not ready")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// next waits for a value.
func next[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("it did not come: %s", what)
		panic("unreachable")
	}
}
