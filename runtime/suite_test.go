package async_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/gochanneltransport"
)

// The behaviours of this package's tests are proven through generated code on every transport: forEach runs one on memory,
// gochannel and amqp. Where a transport does not claim an ability, the test asks world.caps and expects the refusal.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// world is one broker, with names of its own.
type world struct {
	name      string // of the transport
	url       string
	shared    transport.Transport // the one transport of all runtimes: of gochannel, or a test's own
	namespace string
	caps      transport.Capabilities
}

// goChannel is closed by the test and not by the runtimes that share it.
type goChannel struct{ *gochanneltransport.Transport }

func (goChannel) Close(context.Context) error { return nil }

func forEach(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	for _, name := range []string{"memory", "gochannel", "amqp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newWorld(t, name))
		})
	}
}

func newWorld(t *testing.T, name string) *world {
	t.Helper()
	id := strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	w := &world{name: name, url: name + "://" + id, namespace: "t" + id}
	switch name {
	case "amqp":
		w.url = amqpURL()
		t.Cleanup(func() { w.sweep(t) })
	case "gochannel":
		one := gochanneltransport.New()
		t.Cleanup(func() { closeTransport(t, one) })
		w.shared = goChannel{one}
	}
	w.caps = w.transport(t).Capabilities()
	return w
}

// transport opens the broker itself, for what no runtime would send.
func (w *world) transport(t *testing.T) transport.Transport {
	t.Helper()
	if w.shared != nil {
		return w.shared
	}
	c, err := transport.ParseURL(w.url)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := transport.Default.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open the broker (make test starts one): %v", err)
	}
	t.Cleanup(func() { closeTransport(t, opened) })
	return opened
}

func closeTransport(t *testing.T, opened transport.Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := opened.Close(ctx); err != nil {
		t.Errorf("close the transport: %v", err)
	}
}

// open opens a runtime that is closed at the end of the test.
func (w *world) open(t *testing.T, opts ...async.Option) *async.Runtime {
	t.Helper()
	where := async.WithURL(w.url)
	if w.shared != nil {
		where = async.WithTransport(w.shared)
	}
	rt, err := async.Open(t.Context(), append([]async.Option{
		where, async.WithNamespace(w.namespace), async.WithApp("app"), async.WithDrainTimeout(5 * time.Second),
	}, opts...)...)
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

// run runs a runtime until the end of the test, and returns when it is ready.
func run(t *testing.T, rt *async.Runtime) (stop func()) {
	t.Helper()
	return runIn(context.Background(), t, rt)
}

func runIn(ctx context.Context, t *testing.T, rt *async.Runtime) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- rt.Run(ctx) }()
	select {
	case <-rt.Ready():
	case err := <-result:
		cancel()
		t.Fatalf("Run returned before it was ready: %v", err)
	case <-time.After(patience):
		cancel()
		t.Fatal("Run is not ready")
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-result:
				if err != nil {
					t.Errorf("Run returned %v", err)
				}
			case <-time.After(patience):
				t.Error("Run did not end")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// next waits for a value.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	await(t, what, patience, f)
}

// await is eventually with a patience of its own.
func await(t *testing.T, what string, patience time.Duration, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

// must fails on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails unless err wraps want.
func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func (w *world) topic(logical string) string { return w.namespace + "." + logical }

// inject sends a message that no runtime would send, to a topic.
func (w *world) inject(t *testing.T, p transport.Publication, id string, payload []byte, md map[string]string) {
	t.Helper()
	msg := newMessage(id, payload, md)
	done := make(chan error, 1)
	must(t, transport.SenderOf(w.transport(t)).Send(t.Context(), p, msg, func(err error) { done <- err }))
	must(t, next(t, done))
}

// deadLetters waits for n dead letters of a group, takes them, and returns their metadata and payload.
func (w *world) deadLetters(t *testing.T, topic, group string, n int) []map[string]string {
	t.Helper()
	browser, ok := w.transport(t).(transport.Browser)
	if !ok {
		t.Fatalf("%s cannot be browsed", w.caps.System)
	}
	queue := transport.DeadName(w.topic(topic), group)
	var all []map[string]string
	eventually(t, fmt.Sprintf("%d dead letters in %s", n, queue), func() bool {
		more, err := browser.Take(t.Context(), queue, n)
		must(t, err)
		for _, d := range more {
			md := map[string]string{"payload": string(d.Message().Payload)}
			maps.Copy(md, d.Message().Metadata)
			all = append(all, md)
			settled := make(chan error, 1)
			d.Settle(transport.Ack, func(err error) { settled <- err })
			must(t, next(t, settled))
		}
		return len(all) >= n
	})
	if len(all) != n {
		t.Fatalf("%d dead letters, want %d", len(all), n)
	}
	return all
}
