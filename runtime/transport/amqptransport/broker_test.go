package amqptransport_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brokerURL is the address of the RabbitMQ that the tests use.
func brokerURL() string {
	if url := os.Getenv("ASYNC_TEST_AMQP_URL"); url != "" {
		return url
	}
	return "amqp://guest:guest@127.0.0.1:5672/"
}

func brokerConfig(t testing.TB, url string) transport.Config {
	t.Helper()
	c, err := transport.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c.App = "amqptransport-test"
	c.Insecure = true
	if c.Options == nil {
		c.Options = make(map[string]string)
	}
	return c
}

func openConfig(t testing.TB, c transport.Config, opts ...amqptransport.Option) *amqptransport.Transport {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tr, err := amqptransport.Open(ctx, c, opts...)
	if err != nil {
		t.Fatalf("these tests need RabbitMQ; start it or set ASYNC_TEST_AMQP_URL: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tr
}

func open(t testing.TB, opts ...amqptransport.Option) *amqptransport.Transport {
	t.Helper()
	return openConfig(t, brokerConfig(t, brokerURL()), opts...)
}

// channel opens a plain channel to the broker, with a connection of its own.
func channel(t testing.TB) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(brokerURL())
	if err != nil {
		t.Fatalf("these tests need RabbitMQ; start it or set ASYNC_TEST_AMQP_URL: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// subscription names a topic that no other test has, removed after the test.
func subscription(t testing.TB) transport.Subscription {
	t.Helper()
	s := transport.Subscription{
		Topic:       "test." + strings.ToLower(watermill.NewShortUUID()),
		Group:       "group",
		Kind:        transport.KindCommand,
		Concurrency: 16,
	}
	discard(t, []string{s.Topic}, []string{s.Group})
	return s
}

// discard removes topics and their groups from the broker when the test has ended.
func discard(t testing.TB, topics, groups []string) {
	t.Helper()
	ch := channel(t)
	t.Cleanup(func() {
		for _, group := range groups {
			removeQueues(ch, topics, group)
		}
	})
}

// removeQueues deletes what a group has left behind. What is not there is no error.
func removeQueues(ch *amqp.Channel, topics []string, group string) {
	for _, topic := range topics {
		_, _ = ch.QueueDelete(transport.QueueName(topic, group), false, false, false)
		_, _ = ch.QueueDelete(transport.DeadName(topic, group), false, false, false)
		_ = ch.ExchangeDelete(topic, false, false)
	}
}

func declare(t testing.TB, tr *amqptransport.Transport, s transport.Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := tr.Declare(ctx, s); err != nil {
		t.Fatalf("Declare: %v", err)
	}
}

// consume hands deliveries to a channel.
func consume(t testing.TB, tr *amqptransport.Transport, s transport.Subscription) (<-chan transport.Delivery, transport.Consumption) {
	t.Helper()
	deliveries := make(chan transport.Delivery, 1<<16)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := tr.Consume(ctx, s, func(d transport.Delivery) { deliveries <- d })
	if err != nil {
		t.Fatalf("Consume: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("Consumption.Close: %v", err)
		}
	})
	return deliveries, c
}

var count atomic.Int64

func newMessage(payload string) *message.Message {
	return message.NewMessage(fmt.Sprintf("id-%d", count.Add(1)), []byte(payload))
}

// start hands msg over and returns where its outcome will be.
func start(t testing.TB, tr *amqptransport.Transport, p transport.Publication, msg *message.Message) <-chan error {
	t.Helper()
	outcome := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := tr.Send(ctx, p, msg, func(err error) { outcome <- err }); err != nil {
		outcome <- err
	}
	return outcome
}

func send(t testing.TB, tr *amqptransport.Transport, p transport.Publication, msg *message.Message) error {
	t.Helper()
	return await(t, start(t, tr, p, msg), "the outcome of a send")
}

func mustSend(t testing.TB, tr *amqptransport.Transport, p transport.Publication, msg *message.Message) {
	t.Helper()
	if err := send(t, tr, p, msg); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// await takes one value, or fails the test.
func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

// eventually polls until done, or fails the test.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		<-ticker.C
	}
}

func settle(t testing.TB, d transport.Delivery, o transport.Outcome) error {
	t.Helper()
	outcome := make(chan error, 1)
	d.Settle(o, func(err error) { outcome <- err })
	return await(t, outcome, "the outcome of a settlement")
}

func ready(t testing.TB, tr *amqptransport.Transport, queue string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	queues, err := tr.Queues(ctx, queue)
	if err != nil {
		t.Fatal(err)
	}
	if len(queues) == 0 {
		return -1
	}
	return queues[0].Ready
}
