package acceptance_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
	"github.com/asyncpb/async/test/acceptance/internal/stranger"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

func brokerURL() string {
	if url := os.Getenv("ASYNC_TEST_AMQP_URL"); url != "" {
		return url
	}
	return "amqp://guest:guest@127.0.0.1:5672/"
}

// dial opens a plain connection to the broker for the length of the test.
func dial(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(brokerURL())
	if err != nil {
		t.Fatalf("these tests need RabbitMQ; start one with scripts/rabbitmq or set ASYNC_TEST_AMQP_URL: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// realm is a namespace of the test's own on the broker.
type realm struct {
	name string
	ch   *amqp.Channel
}

var topics = []string{
	ordersv1async.OrderEventsPlacedTopic, ordersv1async.OrderEventsMovedTopic,
	ordersv1async.OrdersShipTopic, ordersv1async.OrdersArchiveTopic, ordersv1async.OrdersQuoteTopic,
}

var groups = []string{"orders", "billing", "shipping", "stranger"}

// newRealm makes a namespace. Its exchanges and queues are deleted when the test ends; reply queues go by themselves.
func newRealm(t *testing.T) *realm {
	t.Helper()
	r := &realm{name: "test-" + strings.ToLower(watermill.NewShortUUID()), ch: dial(t)}
	t.Cleanup(func() {
		for _, topic := range topics {
			for _, group := range groups {
				for _, queue := range []string{r.queue(topic, group), r.queue(topic, group) + "--dead"} {
					if _, err := r.ch.QueueDelete(queue, false, false, false); err != nil {
						t.Errorf("delete queue %s: %v", queue, err)
						return
					}
				}
			}
			if err := r.ch.ExchangeDelete(r.topic(topic), false, false); err != nil {
				t.Errorf("delete exchange %s: %v", r.topic(topic), err)
				return
			}
		}
	})
	return r
}

func (r *realm) topic(logical string) string { return r.name + "." + logical }

func (r *realm) queue(logical, group string) string { return r.topic(logical) + "--" + group }

// inspect returns how many messages wait in a queue, and how many consumers it has.
func (r *realm) inspect(t *testing.T, queue string) (messages, consumers int) {
	t.Helper()
	q, err := r.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatalf("inspect queue %s: %v", queue, err)
	}
	return q.Messages, q.Consumers
}

// open opens a runtime in the realm and closes it when the test ends.
func (r *realm) open(t *testing.T, opts ...async.Option) *async.Runtime {
	t.Helper()
	return open(t, append([]async.Option{async.WithURL(brokerURL()), async.WithNamespace(r.name)}, opts...)...)
}

func open(t *testing.T, opts ...async.Option) *async.Runtime {
	t.Helper()
	rt, err := async.Open(bounded(t), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Errorf("close the runtime: %v", err)
		}
	})
	return rt
}

// stranger connects a program without our code.
func (r *realm) stranger(t *testing.T) *stranger.Stranger {
	t.Helper()
	s, err := stranger.Open(brokerURL(), "stranger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// start runs a runtime until the test ends, or until stop is called; it returns when everything is consumed.
func start(t *testing.T, rt *async.Runtime) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	select {
	case <-rt.Ready():
	case err := <-ended:
		cancel()
		t.Fatalf("Run: %v", err)
	}
	t.Cleanup(stop)
	return stop
}

// bounded is a context that ends with the test, or when its patience does.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// await takes one value, or fails the test.
func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

// eventually polls until done, or fails the test.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		<-ticker.C
	}
}

// writeFile puts a file into a directory of the test's own and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pass lets time go by, unless ctx ends first.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
