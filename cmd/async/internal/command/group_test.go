package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

func TestGroupRemove(t *testing.T) {
	t.Parallel()
	remove := []string{"group", "rm", "--topic", shipTopic, "--group", "orders"}
	deleted := "deleted " + shipQueue + "\ndeleted " + shipDead + "\n"
	tests := []struct {
		name    string
		prepare func(*broker)
		args    []string
		code    int
		want    string // on either output
		stays   bool
	}{
		{"an orphan goes", func(*broker) {}, nil, 0, deleted, false},
		{"a dry run changes nothing", func(*broker) {}, []string{"--dry-run"}, 0, "would delete " + shipQueue + "\n", true},
		{"messages keep it", func(b *broker) { b.send(shipQueue, nil, failed("a")) }, nil, 1, "is in use: 1 messages, 0 consumers, 0 dead letters;", true},
		{"dead letters keep it", func(b *broker) { b.send(shipDead, nil, failed("a")) }, nil, 1, "is in use: 0 messages, 0 consumers, 1 dead letter;", true},
		{"a consumer keeps it", consumed, nil, 1, "is in use: 0 messages, 1 consumers, 0 dead letters;", true},
		{"force does not mind", func(b *broker) { b.send(shipQueue, nil, failed("a")) }, []string{"--force"}, 0, "deleted " + shipQueue + " with 1 messages\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := inMemory(t)
			b.declare(shipTopic, "orders")
			tt.prepare(b)
			o := b.tool(append(remove, tt.args...)...)
			if o.code != tt.code || !strings.Contains(o.stdout+o.stderr, tt.want) {
				t.Errorf("exit code %d, want %d with %q; got\n%s%s", o.code, tt.code, tt.want, o.stdout, o.stderr)
			}
			if stays := b.count(shipQueue) >= 0 && b.count(shipDead) >= 0; stays != tt.stays {
				t.Errorf("the queues stay: %t, want %t", stays, tt.stays)
			}
		})
	}
}

func consumed(b *broker) {
	c, err := b.Consume(b.t.Context(), transport.Subscription{
		Topic: shipTopic, Group: "orders", Kind: transport.KindCommand, Concurrency: 1,
	}, func(transport.Delivery) {})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close(b.t.Context()) })
}

func TestGroupsOfTheContract(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	b.declare(shipTopic, "orders")
	b.declare("shop.v1.Orders.Send", "orders")
	b.declare("shop.v1.Orders.Placed", "billing")
	b.declare("shop.v1.Orders.Placed", "shipping")
	consumed(b)
	golden(t, "group_ls_contract", b.ok("group", "ls", "--descriptors", descriptors(t), "--app", "billing,shipping"))
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	b := inMemory(t)
	broken := filepath.Join(t.TempDir(), "broken.binpb")
	if err := os.WriteFile(broken, []byte("no descriptors"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"an unknown command", []string{"dead", "reply"}, 2, `async dead has no command "reply"; did you mean replay?`},
		{"an unknown flag", []string{"dead", "ls", "--tpic", "x"}, 2, "unknown flag: --tpic; async dead ls --help lists the flags"},
		{"a pattern without a glob", []string{"dead", "ls", "--match", "reason"}, 2, "write <name>=<glob>"},
		{"a negative limit", []string{"dead", "ls", "--limit", "-1"}, 2, "write 0 for all"},
		{"drop without yes", []string{"dead", "drop", "--topic", "t"}, 2, "then write --yes"},
		{"drop without a topic", []string{"dead", "drop", "--yes"}, 2, "name their topic with --topic"},
		{"a queue and a topic", []string{"dead", "ls", "--queue", "q", "--topic", "t"}, 2, "leave --topic and --group out"},
		{"a group without its topic", []string{"group", "rm", "--group", "g"}, 2, "Write --topic <topic> --group <group>"},
		{"an argument too many", []string{"group", "ls", "x"}, 2, `takes no argument "x"`},
		{"a place that is not there", []string{"dead", "ls", "--topic", "t", "--group", "g"}, 1, "neither the queue t--g nor t--g--dead exists"},
		{"a queue that is not there", []string{"dead", "ls", "--queue", "q"}, 1, "the queue q does not exist on this broker"},
		{"descriptors that are none", []string{"dead", "ls", "--descriptors", broken}, 1, `write one with "buf build -o descriptors.binpb"`},
		{"descriptors that are not there", []string{"dead", "ls", "--descriptors", "nowhere"}, 1, `nowhere: no such file or directory; write one with`},
		{"an event without a group", []string{"dead", "ls", "--topic", "shop.v1.Orders.Placed", "--descriptors", descriptors(t)}, 1, "add --group <name>, or --app <name>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := b.tool(tt.args...)
			if o.code != tt.code || !strings.Contains(o.stderr, tt.want) {
				t.Errorf("exit code %d with %q, want %d with %q", o.code, o.stderr, tt.code, tt.want)
			}
		})
	}
}
