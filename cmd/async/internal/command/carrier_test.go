package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/cmd/async/internal/place"
	"github.com/asyncpb/async/runtime/transport"
)

// configured writes a configuration and returns its path.
func configured(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "async.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigurationSaysWhereToLook(t *testing.T) {
	t.Parallel()
	slow, fast := inMemory(t), inMemory(t)
	path := configured(t, `version: 1
app: billing
namespace: dev
transport: slow
transports:
  slow: {url: "`+slow.url+`"}
  fast: {url: "`+fast.url+`"}
bindings:
  shop.v1.Orders/Ship: {transport: fast, dead_letter: {topic: failed-shipments}}
`)
	fast.declare("dev."+shipTopic, "orders")
	fast.declare("dev.failed", "shipments")
	slow.declare("dev.shop.v1.Orders.Placed", "billing")
	if err := fast.Declare(t.Context(), transport.Subscription{
		Topic: "dev." + shipTopic, Group: "orders", Kind: transport.KindCommand, Concurrency: 1, DeadTopic: "dev.failed-shipments",
	}); err != nil {
		t.Fatal(err)
	}
	fast.send("dev.failed-shipments", nil, failed("bound", transport.MetaDeadTopic, "dev."+shipTopic))
	slow.send("dev.shop.v1.Orders.Placed--billing--dead", nil, failed("event"))
	o := runTool(t.Context(), "dead", "replay", "--config", path, "--descriptors", descriptors(t))
	want := "queue dev.failed-shipments: 1 dead letter replayed\ndev.shop.v1.Orders.Placed, group billing: 1 dead letter replayed\n"
	if diff := cmp.Diff(want, o.stdout); o.code != 0 || diff != "" {
		t.Errorf("exit code %d, %s (-want +got):\n%s", o.code, o.stderr, diff)
	}
	if fast.count("dev."+shipQueue) != 1 || slow.count("dev.shop.v1.Orders.Placed--billing") != 1 {
		t.Error("the messages are not with their groups")
	}
	o = runTool(t.Context(), "group", "ls", "--config", path, "--url", "fast", "--topic", shipTopic, "--group", "orders")
	if o.code != 0 {
		t.Errorf("the name of a transport as --url: %s", o.stderr)
	}
}

func TestParkedMessages(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare(shipTopic, "orders")
	b.declare(shipTopic, "audit")
	if err := b.Declare(t.Context(), transport.Subscription{
		Topic: "any", Group: "any", Kind: transport.KindCommand, Concurrency: 1, DeadTopic: place.Parked,
	}); err != nil {
		t.Fatal(err)
	}
	b.send(place.Parked, nil, byBroker("to-one", "async-delay-target", "queue:"+shipQueue))
	b.send(place.Parked, nil, byBroker("to-all", "async-delay-target", "topic:"+shipTopic))
	golden(t, "parked", b.tool("dead", "ls", "--descriptors", descriptors(t)).stdout)
	b.ok("dead", "replay", "--queue", place.Parked)
	if diff := cmp.Diff([]string{"to-one", "to-all"}, b.ids(shipQueue)); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"to-all"}, b.ids(shipTopic+"--audit")); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	if target, there := b.contents(shipQueue)[0].Metadata["async-delay-target"]; there {
		t.Errorf("it still says where it was going: %q", target)
	}
}

// park makes the queue of parked messages, and puts messages there that were going to these queues.
func (b *broker) park(queues ...string) {
	b.t.Helper()
	if err := b.Declare(b.t.Context(), transport.Subscription{
		Topic: "any", Group: "any", Kind: transport.KindCommand, Concurrency: 1, DeadTopic: place.Parked,
	}); err != nil {
		b.t.Fatal(err)
	}
	for _, queue := range queues {
		b.send(place.Parked, nil, byBroker("to-"+queue, "async-delay-target", "queue:"+queue))
	}
}

func TestAParkedMessageWhoseTargetIsStillGoneHoldsBackNoOther(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare(shipTopic, "orders")
	b.park(shipTopic+"--gone", shipQueue, shipTopic+"--away")
	o := runTool(t.Context(), "dead", "replay", "--url", b.url, "--queue", place.Parked)
	if o.code != 1 || !strings.Contains(o.stderr, "left 2 dead letters that no queue takes") || !strings.Contains(o.stderr, shipTopic+"--gone") {
		t.Errorf("exit code %d, %s", o.code, o.stderr)
	}
	if want := "queue async.delay.parked: 1 of 3 dead letters replayed\n"; o.stdout != want {
		t.Errorf("%q, want %q", o.stdout, want)
	}
	if diff := cmp.Diff([]string{"to-" + shipQueue}, b.ids(shipQueue)); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"to-" + shipTopic + "--gone", "to-" + shipTopic + "--away"}, b.ids(place.Parked)); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
}

func TestANamespacePicksItsOwnOfAQueueThatAllShare(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare("dev."+shipTopic, "orders")
	b.declare("prod."+shipTopic, "orders")
	b.park("dev."+shipQueue, "prod."+shipQueue, "dev.other--orders")
	b.ok("dead", "drop", "--namespace", "dev", "--topic", shipTopic, "--descriptors", descriptors(t), "--yes")
	if diff := cmp.Diff([]string{"to-prod." + shipQueue, "to-dev.other--orders"}, b.ids(place.Parked)); diff != "" {
		t.Errorf("after a drop of a topic (-want +got):\n%s", diff)
	}
	b.ok("dead", "drop", "--namespace", "dev", "--queue", place.Parked, "--yes")
	if diff := cmp.Diff([]string{"to-prod." + shipQueue}, b.ids(place.Parked)); diff != "" {
		t.Errorf("after a drop of a queue (-want +got):\n%s", diff)
	}
	b.ok("dead", "replay", "--namespace", "dev", "--queue", place.Parked)
	if n := b.count("prod." + shipQueue); n != 0 {
		t.Errorf("%d messages of the other namespace were replayed", n)
	}
}
