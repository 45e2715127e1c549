package asyncconnect_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectinprocess"
	"github.com/google/uuid"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
	"github.com/asyncpb/async/runtime/transport"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// The wires that the tests compare.
const (
	inProcess = "connectinprocess"
	memory    = "memory"
	rabbitMQ  = "amqp"
	overHTTP  = "http"
)

// configuration is what the brokers of the tests run with: room for a payload of 1 MiB with its envelope, and large
// payloads compressed. A busy machine may take longer for one than the contract allows.
const configuration = `
version: 1
defaults: {max_message_bytes: 2MiB, compress_above: 64KiB}
bindings: {acme.calls.v1.Calls/Echo: {timeout: 50s}}
`

// place is one broker with names of its own.
type place struct{ url, namespace string }

func newPlace(t *testing.T, scheme string) place {
	t.Helper()
	id := strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	if scheme == memory {
		return place{url: "memory://" + id, namespace: "t" + id}
	}
	url := os.Getenv("ASYNC_TEST_AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672/"
	}
	p := place{url: url, namespace: "t" + id}
	t.Cleanup(func() { p.sweep(t) })
	return p
}

// open opens a runtime that is closed at the end of the test.
func (p place) open(t *testing.T, config string, opts ...async.Option) *async.Runtime {
	t.Helper()
	file := filepath.Join(t.TempDir(), "async.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	rt, err := async.Open(t.Context(), append([]async.Option{
		async.WithURL(p.url), async.WithNamespace(p.namespace), async.WithApp("app"), async.WithConfigFile(file), async.WithDrainTimeout(5 * time.Second),
	}, opts...)...)
	if err != nil {
		t.Fatalf("open (make test starts a broker): %v", err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return rt
}

// run runs rt until stop is called or the test ends.
func run(t *testing.T, rt *async.Runtime) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-rt.Ready():
	case err := <-ended:
		ended <- nil
		cancel()
		t.Fatalf("Run returned before it was ready: %v", err)
	case <-time.After(patience):
		cancel()
		t.Fatal("Run is not ready")
	}
	t.Cleanup(stop)
	return stop
}

// topics are those of internal/proto/acme/calls/v1, with the groups that consume them in these tests.
var topics = map[string][]string{
	"acme.calls.v1.Calls.Echo":     {"calls"},
	"acme.calls.v1.Calls.Note":     {"calls"},
	"acme.calls.v1.Calls.Noted":    {"app"},
	"acme.calls.v1.Calls.Remarked": {},
	"acme.calls.v1.Plain.Ask":      {"acme.calls.v1.Plain"},
	"acme.calls.v1.Plain.Tell":     {"acme.calls.v1.Plain"},
}

// sweep deletes from RabbitMQ what a test may have declared.
func (p place) sweep(t *testing.T) {
	t.Helper()
	conn, err := amqp091.Dial(p.url)
	if err != nil {
		t.Errorf("sweep: %v", err)
		return
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Errorf("sweep: %v", err)
		return
	}
	queues := []string{p.namespace + ".lost"}
	for logical, groups := range topics {
		topic := p.namespace + "." + logical
		for _, group := range groups {
			queues = append(queues, transport.QueueName(topic, group), transport.DeadName(topic, group))
		}
		if err := ch.ExchangeDelete(topic, false, false); err != nil {
			t.Errorf("sweep %s: %v", topic, err)
		}
	}
	for _, queue := range queues {
		if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
			t.Errorf("sweep %s: %v", queue, err)
		}
	}
}

// wire returns a transport whose calls end at server.
func wire(t *testing.T, name string, server *connect.Server) connect.Transport {
	t.Helper()
	switch name {
	case inProcess:
		return connectinprocess.New(server)
	case overHTTP:
		rt := newPlace(t, memory).open(t, configuration)
		mux := http.NewServeMux()
		asyncconnect.Mount(rt, mux, server)
		srv := httptest.NewUnstartedServer(mux)
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // what it says of panics
		srv.Start()
		t.Cleanup(srv.Close)
		return connecthttp.NewTransport(srv.Client(), srv.URL)
	default:
		p := newPlace(t, name)
		responder, caller := p.open(t, configuration), p.open(t, configuration)
		if err := asyncconnect.Serve(responder, server); err != nil {
			t.Fatal(err)
		}
		run(t, responder)
		return asyncconnect.NewTransport(caller, asyncconnect.WithImplicit())
	}
}
