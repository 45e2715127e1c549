package interceptors_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1async"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
	"github.com/asyncpb/async/runtime/transport"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

const app = "app"

// onEachBroker runs test in memory and on RabbitMQ.
func onEachBroker(t *testing.T, test func(t *testing.T, broker place)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, place{url: "memory://"})
	})
	t.Run("amqp", func(t *testing.T) {
		t.Parallel()
		p := place{url: os.Getenv("ASYNC_TEST_AMQP_URL"), namespace: "t" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]}
		if p.url == "" {
			p.url = "amqp://guest:guest@127.0.0.1:5672/"
		}
		t.Cleanup(func() { p.sweep(t) })
		test(t, p)
	})
}

// place is a broker, with names of the test's own.
type place struct{ url, namespace string }

// serve serves h there.
func (p place) serve(t *testing.T, h handler, interceptors []connect.ServerInterceptor, opts ...async.Option) *async.Runtime {
	t.Helper()
	rt, err := async.Open(t.Context(), append([]async.Option{async.WithURL(p.url), async.WithNamespace(p.namespace), async.WithApp(app)}, opts...)...)
	if err != nil {
		t.Fatalf("open (make test starts a broker): %v", err)
	}
	server := connect.NewServer(interceptors...)
	callsv1connect.RegisterCallsHandler(server, h)
	if err := asyncconnect.Serve(rt, server); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-rt.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run returned before it was ready: %v", err)
	}
	return rt
}

// sweep deletes from RabbitMQ what Serve declares.
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
	for logical, group := range map[string]string{
		callsv1async.CallsEchoTopic: "calls", callsv1async.CallsNoteTopic: "calls", callsv1async.CallsNotedTopic: app, callsv1async.CallsName + ".Remarked": "",
	} {
		topic := p.namespace + "." + logical
		if group != "" {
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
