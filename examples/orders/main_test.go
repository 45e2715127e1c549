package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/asyncpb/async/examples/internal/brokertest"
	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/examples/orders/gen/shop/billing/v1/billingv1async"
	"github.com/asyncpb/async/examples/orders/gen/shop/orders/v1/ordersv1async"
	"github.com/asyncpb/async/examples/orders/gen/shop/shipping/v1/shippingv1async"
	"github.com/asyncpb/async/examples/orders/internal/billing"
	"github.com/asyncpb/async/examples/orders/internal/ordering"
	"github.com/asyncpb/async/examples/orders/internal/shop"
	"github.com/asyncpb/async/runtime/transport"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if building.directory != "" {
			_ = os.RemoveAll(building.directory)
		}
		os.Exit(code)
	}))
}

// groups is what the example has on a broker.
var groups = brokertest.Groups{
	billingv1async.BillingQuoteTopic:           {billingv1async.BillingName},
	ordersv1async.OrderEventsPlacedTopic:       {billing.App},
	shippingv1async.ShippingShipTopic:          {shippingv1async.ShippingName},
	shippingv1async.ShippingEventsShippedTopic: {ordering.App},
}

// story is what the three services do, in any order.
var story = []string{
	"orders    ▶  Placed    A-1: 2 × teapot to Lisbon",
	"orders    ▶  Placed    A-2: 1 × samovar to Reykjavík",
	"orders    ▶  Placed    A-3: 1 × teapot to Atlantis",
	`orders    ✗  Quote     A-4: there is no article "unicorn"`,
	"orders    ◀  Shipped   A-1 to Lisbon",
	"orders    ◀  Shipped   A-2 to Reykjavík",
	"billing   ◀  Quote     2 × teapot: 36.00 €",
	"billing   ◀  Quote     1 × samovar: 240.00 €",
	"billing   ◀  Quote     1 × teapot: 18.00 €",
	"billing   ◀  Quote     a unicorn? we have none",
	"billing   ◀  Placed    A-1: charged 36.00 €",
	"billing   ◀  Placed    A-2: charged 240.00 €",
	"billing   ◀  Placed    A-3: charged 18.00 €",
	"billing   ▶  Ship      A-1 to Lisbon",
	"billing   ▶  Ship      A-2 to Reykjavík",
	"billing   ▶  Ship      A-3 to Atlantis",
	"shipping  ◀  Ship      A-1: on its way to Lisbon, attempt 1",
	"shipping  ↻  Ship      A-2: the ferry is late, trying again",
	"shipping  ◀  Ship      A-2: on its way to Reykjavík, attempt 2",
	"shipping  ✗  Ship      A-3: rejected, nobody goes to Atlantis",
}

const buried = "A-3       †  rejected  nobody goes to Atlantis, after attempt 1"

func TestTheOrdersEndTheSameOnEveryTransport(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		setup  func(t *testing.T) (url, namespace string)
		system string
		letter string // how the dead letter shows
	}{
		"in memory": {
			setup:  func(*testing.T) (url, namespace string) { return "memory://orders-test", "test" },
			system: "in_memory",
			letter: buried,
		},
		"on RabbitMQ": {
			setup:  func(t *testing.T) (url, namespace string) { return brokertest.RabbitMQ(t, groups) },
			system: "rabbitmq",
			letter: buried,
		},
		"on Go channels, whose dead letters nobody else can see": {
			setup:  func(*testing.T) (url, namespace string) { return "gochannel://", "test" },
			system: "go_channel",
			letter: "NAMESPACE.shop.shipping.v1.Shipping.Ship--shop.shipping.v1.Shipping--dead: " +
				"each go_channel is a broker of its own, and this one does not have the queue",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, namespace := test.setup(t)
			var out strings.Builder
			if err := shop.Run(t.Context(), url, namespace, console.New(&out, 8, 1, 8)); err != nil {
				t.Fatalf("%v, after:\n%s", err, out.String())
			}
			want := append(slices.Clone(story), "Orders on "+test.system, "2 shipped, 1 retried, 1 dead",
				strings.Replace(test.letter, "NAMESPACE", namespace, 1))
			if test.letter == buried {
				want = append(want, transport.DeadName(namespace+"."+shippingv1async.ShippingShipTopic, shippingv1async.ShippingName))
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, lines(out.String())); diff != "" {
				t.Errorf("printed, in alphabetical order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestThePictureShowsARetryAndADeadLetter(t *testing.T) { //nolint:paralleltest // it sets the program's tracer
	file := filepath.Join(t.TempDir(), "trace.svg")
	if err := run(t.Context(), "memory://orders-picture", file); err != nil {
		t.Fatal(err)
	}
	picture, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">order A-2, ", ">retry Ship<", ">process Ship, attempt 2<", ">order A-3: publish Ship, ", ">dead letter Ship<", ">failed<"} {
		if !strings.Contains(string(picture), want) {
			t.Errorf("%s is not in the picture", want)
		}
	}
}

func TestWhoAsksForAnExporterIsToldWhichCommandHasIt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		exporter, want string
	}{
		"one that a collector would hear of":   {"otlp", "orders: this command exports no traces; to give them to otlp: go -C examples/orders/export run .\n"},
		"none, as OpenTelemetry calls nothing": {"none", ""},
		"without the variable":                 {"", ""},
	}
	binary := filepath.Join(t.TempDir(), "orders")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told strings.Builder
			cmd := exec.CommandContext(t.Context(), binary)
			cmd.Env, cmd.Stderr = append(os.Environ(), "ASYNC_TRANSPORT=memory://shop", "OTEL_TRACES_EXPORTER="+test.exporter), &told
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, told.String())
			}
			if got := told.String(); got != test.want {
				t.Errorf("it says %q, want %q", got, test.want)
			}
		})
	}
}

// lines returns the lines that hold something, without their margin, in alphabetical order.
func lines(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			found = append(found, line)
		}
	}
	slices.Sort(found)
	return found
}
