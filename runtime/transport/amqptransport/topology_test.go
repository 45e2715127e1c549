package amqptransport_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// groupArguments are the arguments of a group's queue as the documentation lists them.
func groupArguments(s transport.Subscription) amqp.Table {
	return amqp.Table{
		"x-queue-type":              "quorum",
		"x-delivery-limit":          int32(100),
		"x-overflow":                "reject-publish",
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": s.Topic + "--" + s.Group + "--dead",
		"x-dead-letter-strategy":    "at-least-once",
	}
}

// TestTopologyIsWhatTheDocumentationSays declares everything once more with a plain client: the broker refuses any
// difference.
func TestTopologyIsWhatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	classic := func(s transport.Subscription) amqp.Table {
		table := groupArguments(s)
		table["x-queue-type"] = "classic"
		delete(table, "x-delivery-limit")
		delete(table, "x-dead-letter-strategy")
		return table
	}
	ordered := func(s transport.Subscription) amqp.Table {
		table := groupArguments(s)
		table["x-single-active-consumer"] = true
		return table
	}
	for _, test := range []struct {
		name      string
		ordered   bool
		queueType string
		arguments func(transport.Subscription) amqp.Table
	}{
		{"a group", false, "quorum", groupArguments},
		{"an ordered group", true, "quorum", ordered},
		{"a classic group", false, "classic", classic},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := brokerConfig(t, brokerURL())
			c.Options["queue_type"] = test.queueType
			tr := openConfig(t, c)
			s := subscription(t)
			s.Ordered = test.ordered
			s.DeadTopic = s.Topic + ".dead-letters"
			declare(t, tr, s)
			s.Concurrency, s.Prefetch, s.DeadTopic = 99, 999, ""
			declare(t, tr, s)
			ch := channel(t)
			if err := ch.ExchangeDeclare(s.Topic, "topic", true, false, false, false, nil); err != nil {
				t.Error(err)
			}
			if _, err := ch.QueueDeclare(s.Topic+"--group", true, false, false, false, test.arguments(s)); err != nil {
				t.Error(err)
			}
			for _, dead := range []string{s.Topic + "--group--dead", s.Topic + ".dead-letters"} {
				arguments := amqp.Table{"x-queue-type": test.queueType}
				if test.queueType == "quorum" {
					arguments["x-delivery-limit"] = int32(2147483647)
				}
				if _, err := channel(t).QueueDeclare(dead, true, false, false, false, arguments); err != nil {
					t.Error(err)
				}
			}
			if _, err := channel(t).QueueDelete(s.Topic+".dead-letters", false, false, false); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestQueueWithOtherArgumentsIsNamed(t *testing.T) {
	t.Parallel()
	s := subscription(t)
	table := groupArguments(s)
	table["x-delivery-limit"] = int32(7)
	if _, err := channel(t).QueueDeclare(s.Queue(), true, false, false, false, table); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []transport.Declare{transport.DeclareCreate, transport.DeclareVerify} {
		c := brokerConfig(t, brokerURL())
		c.Declare = mode
		if mode == transport.DeclareVerify {
			whole := s
			whole.Group = "other"
			discard(t, []string{s.Topic}, []string{"other"})
			declare(t, open(t), whole)
			ch := channel(t)
			if _, err := ch.QueueDeclare(transport.DeadName(s.Topic, s.Group), true, false, false, false, amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int32(2147483647)}); err != nil {
				t.Fatal(err)
			}
		}
		tr := openConfig(t, c)
		for what, f := range map[string]func() error{
			"Declare": func() error { return tr.Declare(t.Context(), s) },
			"Consume": func() error {
				_, err := tr.Consume(t.Context(), s, func(transport.Delivery) {})
				return err
			},
		} {
			err := f()
			var e *transport.TopologyError
			if !errors.As(err, &e) || !errors.Is(err, transport.ErrTopology) {
				t.Errorf("%s, %s: %v, want a TopologyError", mode, what, err)
				continue
			}
			want := transport.TopologyError{Entity: `queue "` + s.Queue() + `"`, Property: "x-delivery-limit", Want: "100", Have: "7", Remedy: e.Remedy, Err: e.Err}
			if *e != want || !strings.Contains(e.Remedy, s.Queue()) {
				t.Errorf("%s, %s: %+v", mode, what, e)
			}
		}
	}
}

func TestExchangeOfAnotherTypeIsNamed(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	if err := channel(t).ExchangeDeclare(s.Topic, "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Send":    send(t, tr, transport.Publication{Topic: s.Topic}, newMessage("x")),
		"Declare": tr.Declare(t.Context(), s),
	} {
		var e *transport.TopologyError
		if !errors.As(err, &e) || e.Property != "type" || e.Want != "topic" || e.Have != "fanout" {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := subscription(t)
	declare(t, tr, other)
	mustSend(t, tr, transport.Publication{Topic: other.Topic, Mandatory: true}, newMessage("others are not harmed"))
}

func TestVerifyMakesNothing(t *testing.T) {
	t.Parallel()
	c := brokerConfig(t, brokerURL())
	c.Declare = transport.DeclareVerify
	tr := openConfig(t, c)
	s := subscription(t)
	if err := tr.Declare(t.Context(), s); !errors.Is(err, transport.ErrTopology) {
		t.Errorf("before: %v, want ErrTopology", err)
	}
	if n := ready(t, tr, s.Queue()); n != -1 {
		t.Error("the queue was made")
	}
	declare(t, open(t), s)
	if err := tr.Declare(t.Context(), s); err != nil {
		t.Errorf("after: %v", err)
	}
}

func TestNothingIsDeclaredWhenToldSo(t *testing.T) {
	t.Parallel()
	s := subscription(t)
	c := brokerConfig(t, brokerURL())
	c.Declare = transport.DeclareNone
	tr := openConfig(t, c)
	if err := tr.Declare(t.Context(), s); err != nil {
		t.Errorf("Declare: %v", err)
	}
	if n := ready(t, tr, s.Queue()); n != -1 {
		t.Error("the queue was made")
	}
	declare(t, open(t), s)
	deliveries, _ := consume(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	if err := settle(t, await(t, deliveries, "the message"), transport.Ack); err != nil {
		t.Fatal(err)
	}
}

// TestDeclaredQueueIsDeclaredAgain: a publisher of commands has declared the queue of their group, and somebody
// deletes it.
func TestDeclaredQueueIsDeclaredAgain(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	p := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, p, newMessage("x"))
	if _, err := channel(t).QueueDelete(s.Queue(), false, false, false); err != nil {
		t.Fatal(err)
	}
	mustSend(t, tr, p, newMessage("y"))
	p.Mandatory = false
	if _, err := channel(t).QueueDelete(s.Queue(), false, false, false); err != nil {
		t.Fatal(err)
	}
	mustSend(t, tr, p, newMessage("z"))
	if n := ready(t, tr, s.Queue()); n != 1 {
		t.Errorf("%d messages are stored, want 1", n)
	}
}

func TestOwnNamesAndTopologyAreHonoured(t *testing.T) {
	t.Parallel()
	s := subscription(t)
	exchange, queue := s.Topic+"-exchange", s.Topic+"-queue"
	ch := channel(t)
	t.Cleanup(func() {
		_, _ = ch.QueueDelete(queue, false, false, false)
		_ = ch.ExchangeDelete(exchange, false, false)
	})
	tr := open(t, amqptransport.WithConfig(func(c *wamqp.Config) {
		c.Exchange.GenerateName = func(topic string) string { return topic + "-exchange" }
		c.Exchange.Type = "direct"
		c.Queue.GenerateName = func(topic string) string { return topic + "-queue" }
		c.Queue.Arguments = amqp.Table{"x-queue-type": "classic"}
		c.QueueBind.GenerateRoutingKey = func(string) string { return "key" }
		c.Publish.GenerateRoutingKey = func(string) string { return "key" }
		c.Connection.Reconnect = &wamqp.ReconnectConfig{BackoffInitialInterval: time.Millisecond, BackoffMaxInterval: time.Second, BackoffMultiplier: 1.5}
	}))
	deliveries, _ := consume(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic, RoutingKey: "not used", Mandatory: true}, newMessage("x"))
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Group: s.Group, Mandatory: true}, newMessage("x"))
	for range 2 {
		if err := settle(t, await(t, deliveries, "the message"), transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.ExchangeDeclare(exchange, "direct", true, false, false, false, nil); err != nil {
		t.Error(err)
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "classic"}); err != nil {
		t.Error(err)
	}
	s.Group = "another"
	if err := tr.Declare(t.Context(), s); !errors.Is(err, transport.ErrTopology) || !strings.Contains(err.Error(), queue) {
		t.Errorf("two groups on one queue: %v, want ErrTopology", err)
	}
}

func TestBrowserPeeksAndRemoves(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	for range 3 {
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	}
	if _, err := tr.Queues(t.Context()); !errors.Is(err, transport.ErrUnsupported) {
		t.Errorf("Queues without names: %v, want ErrUnsupported", err)
	}
	queues, err := tr.Queues(t.Context(), "nowhere", s.Queue())
	if diff := cmp.Diff([]transport.QueueInfo{{Name: s.Queue(), Ready: 3}}, queues); err != nil || diff != "" {
		t.Errorf("Queues: %v\n%s", err, diff)
	}
	if _, err := tr.Take(t.Context(), "nowhere", 1); !errors.Is(err, transport.ErrUnroutable) {
		t.Errorf("Take from nowhere: %v, want ErrUnroutable", err)
	}
	taken, err := tr.Take(t.Context(), s.Queue(), 2)
	if err != nil || len(taken) != 2 {
		t.Fatalf("Take: %d, %v", len(taken), err)
	}
	if err := errors.Join(settle(t, taken[0], transport.Ack), settle(t, taken[1], transport.Requeue)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one is gone and one is back", func() bool { return ready(t, tr, s.Queue()) == 2 })
	second := open(t)
	if taken, err = second.Take(t.Context(), s.Queue(), 5); err != nil || len(taken) != 2 {
		t.Fatalf("Take: %d, %v", len(taken), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := second.Close(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Close has given back", func() bool { return ready(t, tr, s.Queue()) == 2 })
}

func TestABrowserTakesTheHeadInItsOrder(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	const all, part = 50, 20
	for i := range all {
		mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage(strconv.Itoa(i)))
	}
	for round, limit := range []int{part, all + 1} {
		taken, err := tr.Take(t.Context(), s.Queue(), limit)
		if want := min(limit, all); err != nil || len(taken) != want {
			t.Fatalf("round %d: took %d, %v, want %d", round, len(taken), err, want)
		}
		outcomes := make(chan error, len(taken))
		for i, d := range taken {
			if got := string(d.Message().Payload); got != strconv.Itoa(i) {
				t.Errorf("round %d: message %s is in the place of %d", round, got, i)
			}
			d.Settle(transport.Requeue, func(err error) { outcomes <- err })
		}
		for range taken {
			if err := <-outcomes; err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all are back", func() bool { return ready(t, tr, s.Queue()) == all })
	}
	got, received := 0, make(chan transport.Delivery, all)
	c, err := tr.Consume(t.Context(), s, func(d transport.Delivery) { received <- d })
	if err != nil {
		t.Fatal(err)
	}
	for ; got < all; got++ {
		select {
		case d := <-received:
			d.Settle(transport.Ack, nil)
		case <-time.After(patience):
			t.Fatalf("%d of %d came to a consumer: the rest went to one that had left", got, all)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
