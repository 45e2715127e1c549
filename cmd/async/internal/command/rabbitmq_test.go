package command_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/asyncpb/async/runtime/transport"
)

// rabbit is RabbitMQ with a namespace that no other test has, empty again after the test.
func rabbit(t *testing.T) (b *broker, namespace string) {
	t.Helper()
	url := os.Getenv("ASYNC_TEST_AMQP_URL")
	if url == "" {
		url = "amqp://guest:guest@127.0.0.1:5672/"
	}
	namespace = "t" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	topic := namespace + "." + shipTopic
	b = newBroker(t, url)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, queue := range []string{topic + "--orders", topic + "--orders--dead"} {
			_, _ = b.Remove(ctx, queue, true)
		}
		conn, err := amqp.Dial(url)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if ch, err := conn.Channel(); err == nil {
			_ = ch.ExchangeDelete(topic, false, false)
		}
	})
	b.declare(topic, "orders")
	return b, namespace
}

// eventually waits for what the broker does in its own time.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		<-ticker.C
	}
}

func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	b, ns := rabbit(t)
	queue, dead := ns+"."+shipQueue, ns+"."+shipDead
	b.send(dead, encoded(t, "ShipRequest", `{"orderId": "42"}`), failed("ord-1", transport.MetaDeadTopic, ns+"."+shipTopic))
	b.send(dead, []byte{0xff}, failed("ord-2", transport.MetaDeadReason, "undecodable"))
	b.send(dead, nil, failed("ord-3"))
	eventually(t, "three are dead", func() bool { return b.count(dead) == 3 })
	flags := []string{"--namespace", ns, "--descriptors", descriptors(t)}
	run := func(args ...string) string {
		return strings.ReplaceAll(b.ok(append(args, flags...)...), ns, "of-some-tests")
	}
	golden(t, "rabbitmq_ls", run("dead", "ls", "--topic", shipTopic))
	golden(t, "rabbitmq_show", run("dead", "show", "ord-1", "--topic", shipTopic))
	run("dead", "replay", "--topic", shipTopic, "--dry-run")
	eventually(t, "the dry run has given all back", func() bool { return b.count(dead) == 3 })
	run("dead", "drop", "--topic", shipTopic, "--match", "reason=undecodable", "--yes")
	eventually(t, "one is dropped and two are back", func() bool { return b.count(dead) == 2 })
	golden(t, "rabbitmq_replay", run("dead", "replay", "ord-1", "--topic", shipTopic))
	eventually(t, "it is with its group", func() bool { return b.count(queue) == 1 && b.count(dead) == 1 })
	golden(t, "rabbitmq_group_ls", run("group", "ls", "--topic", shipTopic))

	if o := b.tool(append([]string{"group", "rm", "--topic", shipTopic, "--group", "orders"}, flags...)...); o.code != 1 || !strings.Contains(o.stderr, "is in use: 1 messages, 0 consumers, 1 dead letter;") {
		t.Errorf("a group with messages: exit code %d, %s", o.code, o.stderr)
	}
	run("dead", "drop", "--topic", shipTopic, "--yes")
	golden(t, "rabbitmq_group_rm", run("group", "rm", "--topic", shipTopic, "--group", "orders", "--force"))
	if b.count(queue) != -1 || b.count(dead) != -1 {
		t.Error("the queues are still there")
	}
	o := b.tool("dead", "ls")
	if o.code != 1 || !strings.Contains(o.stderr, "rabbitmq does not tell which queues there are; name --topic and --group, or give the contract with --descriptors") {
		t.Errorf("without names: exit code %d, %s", o.code, o.stderr)
	}
}

// A dead letter must outlive any number of looks at it. Newer brokers give every quorum queue a limit of 20 deliveries.
func TestLookingIsNoDelivery(t *testing.T) {
	t.Parallel()
	b, ns := rabbit(t)
	for _, id := range []string{"first", "second"} {
		b.send(ns+"."+shipDead, nil, failed(id))
	}
	for range 120 {
		eventually(t, "both are there", func() bool { return b.count(ns+"."+shipDead) == 2 })
		if diff := cmp.Diff([]string{"first", "second"}, b.ids(ns+"."+shipDead)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

func TestReplayOfWhatTheBrokerDeadLettered(t *testing.T) {
	t.Parallel()
	b, ns := rabbit(t)
	queue, dead := ns+"."+shipQueue, ns+"."+shipDead
	place := []string{"--namespace", ns, "--topic", shipTopic, "--group", "orders"}
	body := []byte("\x00\xffbytes")
	b.send(queue, body, byBroker("poison", "tenant", "acme"))
	// Twice: what has been dead-lettered once must not look like a cycle the next time.
	for range 2 {
		eventually(t, "the broker gives up", func() bool {
			if b.count(queue) > 0 {
				b.contents(queue)
			}
			return b.count(dead) == 1
		})
		list := b.ok(append([]string{"dead", "ls", "--json"}, place...)...)
		var r struct{ ID, Reason, Topic, Group string }
		if err := json.Unmarshal([]byte(list), &r); err != nil {
			t.Fatal(err)
		}
		if r.ID != "poison" || r.Reason != "broker" || r.Topic != ns+"."+shipTopic || r.Group != "orders" {
			t.Errorf("listed as %+v", r)
		}
		eventually(t, "it is back", func() bool { return b.count(dead) == 1 })
		b.ok(append([]string{"dead", "replay"}, place...)...)
		eventually(t, "it is with its group again", func() bool { return b.count(queue) == 1 && b.count(dead) == 0 })
	}
	got := b.contents(queue)[0]
	want := byBroker("poison", "tenant", "acme")
	want[transport.MetaSentAt] = got.Metadata[transport.MetaSentAt]
	if diff := cmp.Diff(want, got.Metadata); diff != "" || string(got.Payload) != string(body) {
		t.Errorf("payload %q, metadata (-want +got):\n%s", got.Payload, diff)
	}
}

func TestInterruptedReplayLosesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		signal os.Signal
		// twice is how many messages may be with the group and dead at once.
		twice int
		code  int
	}{
		{"an interrupt finishes what is in hand", os.Interrupt, 0, 130},
		{"a kill leaves at most the one in hand twice", syscall.SIGKILL, 1, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const n = 500
			b, ns := rabbit(t)
			queue, dead := ns+"."+shipQueue, ns+"."+shipDead
			for _, id := range numbered(n) {
				b.send(dead, []byte(id), failed(id))
			}
			eventually(t, "all are dead", func() bool { return b.count(dead) == n })
			args := []string{"dead", "replay", "--json", "--url", b.url, "--namespace", ns, "--topic", shipTopic, "--group", "orders"}
			replayed, code := interrupted(t, args, 200, tt.signal)
			if code != tt.code || replayed < 200 || replayed >= n {
				t.Fatalf("exit code %d after %d, want %d in the middle", code, replayed, tt.code)
			}
			eventually(t, "what is left is back", func() bool { return b.count(queue)+b.count(dead) >= n })
			left, moved := b.ids(dead), b.ids(queue)
			twice := 0
			for _, id := range left {
				if slices.Contains(moved, id) {
					twice++
				}
			}
			t.Logf("%d reported, %d moved, %d left, %d twice", replayed, len(moved), len(left), twice)
			if twice > tt.twice || len(moved)+len(left) != n+twice {
				t.Errorf("%d with their group and %d dead, %d of them twice, of %d", len(moved), len(left), twice, n)
			}
			eventually(t, "the look is over", func() bool { return b.count(dead) == len(left) })
			if o := runTool(t.Context(), args...); o.code != 0 {
				t.Fatalf("the second replay: %s", o.stderr)
			}
			eventually(t, "no dead letter is left", func() bool { return b.count(dead) == 0 && b.count(queue) == n+twice })
			all := b.ids(queue)
			slices.Sort(all)
			if diff := cmp.Diff(numbered(n), slices.Compact(all)); diff != "" {
				t.Errorf("with their group (-want +got):\n%s", diff)
			}
		})
	}
}

// interrupted runs the tool in a process of its own, sends the signal after some lines of output, and returns how many lines
// there were in all.
func interrupted(t *testing.T, args []string, after int, signal os.Signal) (lines, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asTool+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if lines++; lines == after {
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // the exit code says it
	return lines, cmd.ProcessState.ExitCode()
}
