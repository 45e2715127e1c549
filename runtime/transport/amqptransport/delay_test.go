package amqptransport_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

const week = 7 * 24 * time.Hour

// takeAway removes the messages of a shared queue whose target is one of these, and reports what they are.
func takeAway(t testing.TB, tr *amqptransport.Transport, queue string, targets ...string) map[string]string {
	t.Helper()
	taken, err := tr.Take(t.Context(), queue, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	ours := make(map[string]string)
	for _, d := range taken {
		outcome := transport.Requeue
		for _, target := range targets {
			if d.Message().Metadata[transport.MetaDelayTarget] == target {
				ours[d.Message().UUID] = target
				outcome = transport.Ack
			}
		}
		if err := settle(t, d, outcome); err != nil {
			t.Fatal(err)
		}
	}
	return ours
}

func TestDelaysEndOnTimeBehindOneOfAWeek(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Delay: week, Mandatory: true}, newMessage("a week"))

	type sent struct {
		delay         time.Duration
		before, after time.Time
	}
	waiting := make(map[string]sent)
	for range 3 {
		for _, seconds := range []int{5, 3, 2, 1} {
			for _, group := range []string{"", s.Group} {
				one := sent{delay: time.Duration(seconds) * time.Second, before: time.Now()}
				msg := newMessage(fmt.Sprint(one.delay))
				mustSend(t, tr, transport.Publication{Topic: s.Topic, Group: group, Delay: one.delay, Mandatory: true}, msg)
				one.after = time.Now()
				waiting[msg.UUID] = one
			}
		}
	}
	var latest time.Duration
	for len(waiting) > 0 {
		d := await(t, deliveries, "a delayed message")
		now := time.Now()
		one, there := waiting[d.Message().UUID]
		if !there {
			t.Fatalf("%q was delivered twice, or too soon", d.Message().Payload)
		}
		delete(waiting, d.Message().UUID)
		if took := now.Sub(one.before); took < one.delay {
			t.Errorf("a delay of %s ended after %s", one.delay, took)
		}
		late := now.Sub(one.after.Add(one.delay))
		latest = max(latest, late)
		if late > max(time.Second, one.delay/20) {
			t.Errorf("a delay of %s ended %s late", one.delay, late)
		}
		if err := settle(t, d, transport.Ack); err != nil {
			t.Error(err)
		}
	}
	t.Logf("at most %s late", latest)
	if n := len(takeAway(t, tr, "async.delay.19", "topic:"+s.Topic)); n != 1 {
		t.Errorf("%d messages wait for a week, want 1", n)
	}
}

// TestAMessageMayPassTheLadderManyTimes goes through the same levels again and again: RabbitMQ drops a message in silence
// that it believes to go round by itself.
func TestAMessageMayPassTheLadderManyTimes(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic}, newMessage("again"))
	for _, seconds := range []int{3, 1, 3, 1, 1, 1, 1} {
		d := await(t, deliveries, "the message")
		again := d.Message().Copy()
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Group: s.Group, Delay: time.Duration(seconds) * time.Second, Mandatory: true}, again)
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	d := await(t, deliveries, "the message")
	if err := settle(t, d, transport.Ack); err != nil {
		t.Fatal(err)
	}
	if n := ready(t, tr, s.Queue()); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestADelayedMessageReachesEveryGroupOnce(t *testing.T) {
	t.Parallel()
	tr := open(t)
	one := subscription(t)
	one.Kind = transport.KindEvent
	two, old := one, subscription(t)
	two.Group, two.Aliases = "two", []string{old.Topic}
	renamed := one
	renamed.Group = "renamed"
	discard(t, []string{one.Topic, old.Topic}, []string{"two", "renamed", "new"})
	declare(t, tr, renamed)
	renamed.Group, renamed.GroupAliases = "new", []string{"renamed"}

	groups := make(map[string]<-chan transport.Delivery)
	for _, s := range []transport.Subscription{one, two, renamed} {
		groups[s.Group], _ = consume(t, tr, s)
	}
	mustSend(t, tr, transport.Publication{Topic: one.Topic, Delay: time.Second}, newMessage("new topic"))
	mustSend(t, tr, transport.Publication{Topic: old.Topic, Delay: time.Second}, newMessage("old topic"))
	mustSend(t, tr, transport.Publication{Topic: one.Topic, Delay: 2 * time.Second}, newMessage("last"))
	for group, want := range map[string][]string{
		one.Group: {"new topic", "last"}, "two": {"new topic", "old topic", "last"}, "new": {"new topic", "last"},
	} {
		got := make(map[string]int)
		for range want {
			d := await(t, groups[group], "a message for "+group)
			got[string(d.Message().Payload)]++
			if err := settle(t, d, transport.Ack); err != nil {
				t.Error(err)
			}
		}
		for _, payload := range want {
			if got[payload] != 1 {
				t.Errorf("%s got %v", group, got)
			}
		}
	}
	takeAway(t, tr, amqptransport.ParkedQueue, "topic:"+old.Topic)
}

func TestADelayedMessageWhoseTargetHasGoneIsParked(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	waiting := map[string]string{}
	for _, group := range []string{"", s.Group} {
		msg := newMessage("kept")
		waiting[msg.UUID] = "topic:" + s.Topic
		if group != "" {
			waiting[msg.UUID] = "queue:" + s.Queue()
		}
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Group: group, Delay: time.Second, Mandatory: true}, msg)
	}
	if _, err := channel(t).QueueDelete(s.Queue(), false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are parked", func() bool {
		for id, target := range takeAway(t, tr, amqptransport.ParkedQueue, "topic:"+s.Topic, "queue:"+s.Queue()) {
			if waiting[id] != target {
				t.Errorf("message %s was parked for %q, want %q", id, target, waiting[id])
			}
			delete(waiting, id)
		}
		return len(waiting) == 0
	})
}

func TestAMessageIsNotDelayedForAQueueThatDoesNotExist(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	for name, p := range map[string]transport.Publication{
		"a group":    {Topic: s.Topic, Group: s.Group},
		"by address": {Topic: s.Topic + ".reply", Direct: true},
	} {
		p.Delay = time.Second
		if err := send(t, tr, p, newMessage("x")); err != nil {
			t.Errorf("%s: %v, want none", name, err)
		}
		p.Mandatory = true
		if err := send(t, tr, p, newMessage("x")); !errors.Is(err, transport.ErrUnroutable) {
			t.Errorf("%s, mandatory: %v, want ErrUnroutable", name, err)
		}
	}
}

func TestADirectMessageIsDelayedToo(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	dead := transport.DeadName(s.Topic, s.Group)
	mustSend(t, tr, transport.Publication{Topic: dead, Direct: true, Delay: 100 * time.Millisecond, Mandatory: true}, newMessage("x"))
	if n := ready(t, tr, dead); n != 0 {
		t.Errorf("%d messages came at once", n)
	}
	eventually(t, "it is there", func() bool { return ready(t, tr, dead) == 1 })
}

func TestDelayedMessagesOutliveTheirSender(t *testing.T) {
	t.Parallel()
	sender := open(t)
	s := subscription(t)
	declare(t, sender, s)
	const n = 200
	outcomes := make([]<-chan error, n)
	for i := range n {
		outcomes[i] = start(t, sender, transport.Publication{Topic: s.Topic, Delay: time.Duration(1+i%3) * time.Second}, newMessage(fmt.Sprint(i)))
	}
	for _, o := range outcomes {
		if err := await(t, o, "the outcome of a send"); err != nil {
			t.Fatal(err)
		}
	}
	if err := sender.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	deliveries, _ := consume(t, open(t), s)
	seen := make(map[string]bool)
	for len(seen) < n {
		d := await(t, deliveries, "a delayed message")
		seen[string(d.Message().Payload)] = true
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
}

// TestADamagedLadderIsRepaired takes away what only delays of more than three days need, which no other test here sends.
func TestADamagedLadderIsRepaired(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	const level, pattern = "async.delay.18", "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.1.#"
	p := transport.Publication{Topic: s.Topic, Delay: 1 << 18 * time.Second, Mandatory: true}
	ch := channel(t)
	unbind := func() {
		t.Helper()
		if err := ch.QueueUnbind(level, pattern, level, nil); err != nil {
			t.Fatal(err)
		}
	}
	unbind()
	mustSend(t, tr, p, newMessage("repairs"))

	c := brokerConfig(t, brokerURL())
	c.Declare = transport.DeclareVerify
	verifying := openConfig(t, c)
	unbind()
	if err := send(t, verifying, p, newMessage("x")); !errors.Is(err, transport.ErrUnroutable) || !errors.Is(err, transport.ErrTopology) {
		t.Errorf("verifying: %v, want ErrUnroutable and ErrTopology", err)
	}
	mustSend(t, tr, p, newMessage("repairs again"))
	if n := len(takeAway(t, tr, level, "topic:"+s.Topic)); n != 2 {
		t.Errorf("%d messages wait, want 2", n)
	}
}
