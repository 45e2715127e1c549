package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/asyncpb/async/examples/internal/brokertest"
	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/examples/quickstart/gen/greeter/v1/greeterv1async"
	async "github.com/asyncpb/async/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const printed = `
greeter.v1.Greeter on SYSTEM

  kind     send                  receive                  message
  request  Greet          sync   OnGreet            push  Hello, Ada!
  event    Greeted        sync   OnGreeted          push  Hello, Ada!
  event    GreetedAsync   async  OnGreeted          push  Hi, Bob!
  command  Remember       sync   ReceiveRemember    pull  Ada
  command  RememberAsync  async  ReceiveRemember    pull  Bob
`

func TestTheTourIsTheSameOnEveryTransport(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T) (system string, opts []async.Option){
		"by default it runs in memory": func(*testing.T) (string, []async.Option) {
			return "in_memory", nil
		},
		"on Go channels": func(*testing.T) (string, []async.Option) {
			return "go_channel", []async.Option{async.WithURL("gochannel://")}
		},
		"on RabbitMQ": func(t *testing.T) (string, []async.Option) {
			url, namespace := brokertest.RabbitMQ(t, brokertest.Groups{
				greeterv1async.GreeterGreetTopic:    {greeterv1async.GreeterName},
				greeterv1async.GreeterRememberTopic: {greeterv1async.GreeterName},
				greeterv1async.GreeterGreetedTopic:  {"quickstart"},
			})
			return "rabbitmq", []async.Option{async.WithURL(url), async.WithNamespace(namespace)}
		},
	}
	for name, setup := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system, opts := setup(t)
			var out strings.Builder
			if err := run(t.Context(), newConsole(&out), opts...); err != nil {
				t.Fatal(err)
			}
			want := strings.Replace(printed, "SYSTEM", system, 1)
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAWrongURLIsAnError(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := run(t.Context(), console.New(&out), async.WithURL("pigeon://loft"))
	if err == nil || !strings.Contains(err.Error(), `"pigeon"`) {
		t.Errorf("got %v, want an error that names the scheme", err)
	}
}
