package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/asyncpb/async/examples/internal/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long the test waits for something that should take a moment.
const patience = 60 * time.Second

// root is where the commands of the README run.
const root = "../.."

// printed collects what a program prints.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// await waits until the program has printed text.
func (p *printed) await(t *testing.T, text string) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for !strings.Contains(p.String(), text) {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("%q was not printed, but\n%s", text, p)
		}
	}
}

// serve runs the server on a place of its own, and returns its URL and what it prints.
func serve(t *testing.T) (url string, out *printed) {
	t.Helper()
	broker, namespace := brokertest.RabbitMQ(t, brokertest.Groups{
		"shop.checkout.v1.Orders.Quote": {"shop.checkout.v1.Orders"},
		"shop.checkout.v1.Orders.Place": {"shop.checkout.v1.Orders"},
	})
	t.Setenv("ASYNC_TRANSPORT", broker)
	t.Setenv("CHECKOUT_NAMESPACE", namespace)
	ctx, cancel := context.WithCancel(context.Background())
	out = new(printed)
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", "async.yaml", out, func(url string) { ready <- url }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	select {
	case url = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server ended with: %v", err)
	case <-time.After(patience):
		t.Fatal("the server is not ready")
	}
	return url, out
}

// block is a fenced block of the README.
type block struct{ language, text string }

func blocks(t *testing.T) []block {
	t.Helper()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	for i, part := range strings.Split(string(page), "```") {
		if i%2 == 1 {
			language, text, _ := strings.Cut(part, "\n")
			found = append(found, block{language, text})
		}
	}
	return found
}

// TestTheCallsOfTheReadmeAnswerWhatItSays is not parallel: the server reads the environment.
func TestTheCallsOfTheReadmeAnswerWhatItSays(t *testing.T) {
	url, out := serve(t)
	calls := 0
	all := blocks(t)
	for i, b := range all {
		if b.language != "json" {
			continue
		}
		calls++
		command := strings.ReplaceAll(all[i-1].text, "http://127.0.0.1:8080", url)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		bash := exec.CommandContext(ctx, "bash", "-c", command)
		bash.Dir = root
		answer, err := bash.Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		var got, want any
		if err := json.Unmarshal(answer, &got); err != nil {
			t.Fatalf("%s answers %q: %v", command, answer, err)
		}
		if err := json.Unmarshal([]byte(b.text), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-README +answer):\n%s", command, diff)
		}
	}
	if calls < 3 {
		t.Errorf("the README shows %d calls", calls)
	}
	out.await(t, "grpc")
}

// TestTheConfigurationOfTheClientChoosesTheWire runs the clients of the README. It is not parallel: they read the environment.
func TestTheConfigurationOfTheClientChoosesTheWire(t *testing.T) {
	url, out := serve(t)
	client := t.TempDir() + "/client"
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", client, "./client").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, test := range []struct{ config, order, want string }{
		{"client/broker.yaml", "B-1", "  async     Quote  2500 cents\n  async     Place  B-1\n"},
		{"client/http.yaml", "H-1", "  connect   Quote  2500 cents\n  async     Place  H-1\n"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		got, err := exec.CommandContext(ctx, client, "-server", url, "-config", test.config, "-order", test.order).Output()
		if err != nil {
			t.Fatalf("%s: %v", test.config, err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.config, diff)
		}
		out.await(t, "async     Place  "+test.order)
	}
	out.await(t, "connect   Quote  2 × teapot")
	out.await(t, "async     Quote  2 × teapot")
}

// TestClientsThatDawdleAreCutOff: whoever opens a connection and says little, or nothing more, does not keep it.
func TestClientsThatDawdleAreCutOff(t *testing.T) {
	const bar = 10 * time.Second
	url, _ := serve(t)
	const head = "POST /shop.checkout.v1.Orders/Quote HTTP/1.1\r\nHost: x\r\n"
	var clients sync.WaitGroup
	for name, says := range map[string]string{
		"nothing":          "",
		"half a header":    head + "X-Slow: ",
		"no body":          head + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n",
		"half a body":      head + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"article\":",
		"an endless chunk": head + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n{",
	} {
		clients.Go(func() {
			began := time.Now()
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(says)); err != nil {
				t.Error(err)
			}
			if err := conn.SetReadDeadline(began.Add(2 * bar)); err != nil {
				t.Error(err)
			}
			_, err = io.Copy(io.Discard, conn)
			if took := time.Since(began); took > bar || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a client that sends %s is cut off after %s: %v", name, took, err)
			}
		})
	}
	clients.Wait()
}
