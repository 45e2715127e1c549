package command_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/transport"
)

func TestOutput(t *testing.T) {
	t.Parallel()
	set := descriptors(t)
	tests := []struct {
		name string
		args []string
	}{
		{"ls", []string{"dead", "ls"}},
		{"ls_match", []string{"dead", "ls", "--topic", shipTopic, "--match", "reason=max-*", "--match", "tenant=ac?e"}},
		{"ls_json", []string{"dead", "ls", "--json"}},
		{"show", []string{"dead", "show", "--descriptors", set}},
		{"show_reveal", []string{"dead", "show", "ord-1", "--descriptors", set, "--reveal"}},
		{"show_without_descriptors", []string{"dead", "show", "ord-1"}},
		{"show_json", []string{"dead", "show", "--json", "--descriptors", set}},
		{"replay_dry_run", []string{"dead", "replay", "--dry-run", "--limit", "2"}},
		{"drop_dry_run", []string{"dead", "drop", "--dry-run", "--topic", shipTopic, "--match", "id=ord-3"}},
		{"group_ls", []string{"group", "ls"}},
		{"group_ls_json", []string{"group", "ls", "--json", "--topic", shipTopic}},
		{"nothing", []string{"dead", "ls", "--match", "id=nobody"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := inMemory(t)
			shipped(t, b)
			b.declare("shop.v1.Orders.Placed", "billing")
			o := b.tool(tt.args...)
			if o.code != 0 {
				t.Fatalf("exit code %d: %s", o.code, o.stderr)
			}
			golden(t, tt.name, strings.ReplaceAll(o.stdout, b.url, "URL"))
			if diff := cmp.Diff([]string{"ord-1", "ord-2", "ord-3"}, b.ids(shipDead)); diff != "" {
				t.Errorf("looking has changed the queue (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDescriptorsSayWhereToLook(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	shipped(t, b)
	b.declare("ns.shop.v1.Orders.Ship", "orders")
	b.send("ns."+shipDead, []byte("{}"), failed("namespaced", transport.MetaContentType, "application/json"))
	b.declare("shop.v1.Orders.Placed", "billing")
	b.send("shop.v1.Orders.Placed--billing--dead", nil, failed("event", transport.MetaType, "shop.placed"))
	b.declare("shop.v1.Orders.Bill", "orders")
	if err := b.Declare(t.Context(), transport.Subscription{
		Topic: "shop.v1.Orders.Bill", Group: "orders", Kind: transport.KindCommand, Concurrency: 1, DeadTopic: "failed-bills",
	}); err != nil {
		t.Fatal(err)
	}
	b.send("failed-bills", nil, failed("bill", transport.MetaDeadTopic, "shop.v1.Orders.Bill"))
	ids := func(args ...string) []string {
		o := b.tool(append(args, "--json", "--descriptors", descriptors(t))...)
		if o.code != 0 {
			t.Fatal(o.stderr)
		}
		var ids []string
		for line := range strings.Lines(o.stdout) {
			var r struct{ ID string }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.ID)
		}
		return ids
	}
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"every command, with its own queue of dead letters", nil, []string{"bill", "ord-1", "ord-2", "ord-3"}},
		{"events too when their group is named", []string{"--group", "billing"}, []string{"event"}},
		{"events of an application beside the commands", []string{"--app", "billing"}, []string{"bill", "event", "ord-1", "ord-2", "ord-3"}},
		{"a topic without its group", []string{"--topic", shipTopic}, []string{"ord-1", "ord-2", "ord-3"}},
		{"a topic with a shared queue of dead letters", []string{"--topic", "shop.v1.Orders.Bill"}, []string{"bill"}},
		{"a namespace", []string{"--namespace", "ns"}, []string{"namespaced"}},
		{"a queue by its name", []string{"--queue", "failed-bills"}, []string{"bill"}},
		{"at most two", []string{"--limit", "2"}, []string{"bill", "ord-1"}},
	} {
		// One after the other: two looks at one queue at once hide letters from each other.
		if diff := cmp.Diff(tt.want, ids(append([]string{"dead", "ls"}, tt.args...)...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if o := b.tool("dead", "ls", "--descriptors", descriptors(t)); !strings.Contains(o.stderr, "shop.v1.Orders.Placed is an event and was not looked up; name the applications that subscribe with --app") {
		t.Errorf("an event without a known group goes unmentioned: %q", o.stderr)
	}
}

func TestReplayKeepsTheMessage(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare(shipTopic, "orders")
	b.declare(shipTopic, "audit")
	b.send(shipDead, []byte("\x00\xffbytes"), failed("a", "tenant", "acme", transport.MetaKey, "7"))
	b.send(shipDead, []byte("x"), byBroker("b"))
	got := b.ok("dead", "replay", "--topic", shipTopic, "--group", "orders")
	if want := shipTopic + ", group orders: 2 dead letters replayed\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	messages := b.contents(shipQueue)
	if len(messages) != 2 || b.count(shipDead) != 0 || b.count(shipTopic+"--audit") != 0 {
		t.Fatalf("the group has %d messages, dead are %d, another group has %d", len(messages), b.count(shipDead), b.count(shipTopic+"--audit"))
	}
	first := messages[0]
	want := failed("a", "tenant", "acme", transport.MetaKey, "7")
	for name := range maps.Clone(want) {
		if strings.HasPrefix(name, "async-dead-") || name == transport.MetaAttempt {
			delete(want, name)
		}
	}
	if first.Metadata[transport.MetaSentAt] == created {
		t.Error("the time of the hand-over is that of the first one")
	}
	want[transport.MetaSentAt] = first.Metadata[transport.MetaSentAt]
	if diff := cmp.Diff(want, first.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if first.UUID != "a" || string(first.Payload) != "\x00\xffbytes" {
		t.Errorf("id %q, payload %q", first.UUID, first.Payload)
	}
}

func TestReplayLeavesExpiredLettersUnlessAsked(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare(shipTopic, "orders")
	b.send(shipDead, nil, failed("late", transport.MetaDeadline, "1700000000500000000"))
	b.send(shipDead, nil, failed("timely"))
	o := b.tool("dead", "replay", "--limit", "1")
	if o.code != 0 || !strings.Contains(o.stderr, "left 1 dead letter whose deadline has passed; --expired replays") {
		t.Errorf("exit code %d, %s", o.code, o.stderr)
	}
	if diff := cmp.Diff([]string{"late"}, b.ids(shipDead)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	b.ok("dead", "replay", "--expired")
	messages := b.contents(shipQueue)
	if len(messages) != 2 || messages[1].UUID != "late" || messages[1].Metadata[transport.MetaDeadline] != "" {
		t.Errorf("got %d messages, %v", len(messages), messages)
	}
}

func TestReplayWithoutATargetStops(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare(shipTopic, "orders")
	b.send(shipDead, nil, failed("a"))
	b.send(shipDead, nil, failed("b"))
	if _, err := b.Remove(t.Context(), shipQueue, true); err != nil {
		t.Fatal(err)
	}
	o := b.tool("dead", "replay", "--topic", shipTopic, "--group", "orders")
	if o.code != 1 || !strings.Contains(o.stderr, "replay a: the queue "+shipQueue+" does not exist; start a consumer of the group") {
		t.Errorf("exit code %d, %s", o.code, o.stderr)
	}
	if diff := cmp.Diff([]string{"a", "b"}, b.ids(shipDead)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestSharedQueueTellsWhereLettersFailed(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare(shipTopic, "orders")
	if err := b.Declare(t.Context(), transport.Subscription{
		Topic: "other", Group: "g", Kind: transport.KindCommand, Concurrency: 1, DeadTopic: "failures",
	}); err != nil {
		t.Fatal(err)
	}
	b.send("failures", nil, failed("ship"))
	b.send("failures", nil, failed("other", transport.MetaDeadTopic, "other", transport.MetaDeadGroup, "g"))
	b.send("failures", nil, byBroker("foreign"))
	o := b.tool("dead", "replay", "--queue", "failures")
	if o.code != 0 || !strings.Contains(o.stderr, "left 1 dead letter, since nothing says which group failed") {
		t.Errorf("exit code %d, %s", o.code, o.stderr)
	}
	if b.count(shipQueue) != 1 || b.count("other--g") != 1 || b.count("failures") != 1 {
		t.Errorf("%d, %d and %d messages, want one each", b.count(shipQueue), b.count("other--g"), b.count("failures"))
	}
}

func TestDropDeletesWhatFits(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	shipped(t, b)
	got := b.ok("dead", "drop", "--topic", shipTopic, "--match", "reason=undecodable", "--yes")
	if want := shipTopic + ", group orders: 1 of 3 dead letters dropped\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"ord-1", "ord-3"}, b.ids(shipDead)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

// What a sender wrote cannot move the cursor of whoever looks at it, nor turn the text around.
func TestAPayloadCannotDriveTheTerminal(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare(shipTopic, "orders")
	hostile := "4\u009b2J\u202e2\u007f\u2028\U000e0041"
	b.send(shipDead, encoded(t, "ShipRequest", `{"orderId": "`+hostile+`"}`), failed("ord-1", "tenant", hostile))
	shown := b.ok("dead", "show", "--topic", shipTopic, "--group", "orders", "--descriptors", descriptors(t))
	for _, r := range shown {
		if !unicode.IsPrint(r) && r != '\n' {
			t.Errorf("%U reaches the terminal:\n%q", r, shown)
		}
	}
	if want := `"orderId": "4\u009b2J\u202e2\u007f\u2028\udb40\udc41"`; !strings.Contains(shown, want) {
		t.Errorf("%s is not in\n%q", want, shown)
	}
}
