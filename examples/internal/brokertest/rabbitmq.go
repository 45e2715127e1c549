// Package brokertest gives the tests of the examples a place of their own on RabbitMQ.
package brokertest

import (
	"cmp"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// Groups says which groups a logical topic has.
type Groups map[string][]string

// RabbitMQ returns the URL of the broker and a fresh namespace on it. What the topics of the namespace have become on the
// broker is deleted when the test ends. Without a broker the test fails. The URL is ASYNC_TEST_AMQP_URL, by default that of a
// broker on this machine.
func RabbitMQ(t *testing.T, topics Groups) (url, namespace string) {
	t.Helper()
	url = cmp.Or(os.Getenv("ASYNC_TEST_AMQP_URL"), "amqp://guest:guest@127.0.0.1:5672/")
	connection, err := amqp.Dial(url)
	if err != nil {
		t.Fatalf("no RabbitMQ: %v; run make test, or set ASYNC_TEST_AMQP_URL", err)
	}
	namespace = "test-" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		for topic, groups := range topics {
			deleteTopic(t, connection, namespace+"."+topic, groups)
		}
		if err := connection.Close(); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return url, namespace
}

func deleteTopic(t *testing.T, connection *amqp.Connection, topic string, groups []string) {
	t.Helper()
	channel, err := connection.Channel()
	if err != nil {
		t.Errorf("clean up %s: %v", topic, err)
		return
	}
	for _, group := range groups {
		for _, queue := range []string{transport.QueueName(topic, group), transport.DeadName(topic, group)} {
			if _, err := channel.QueueDelete(queue, false, false, false); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
	}
	if err := errors.Join(channel.ExchangeDelete(topic, false, false), channel.Close()); err != nil {
		t.Errorf("clean up: %v", err)
	}
}
