package amqptransport_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

func TestMigrationTakesTheOptionsOfURIs(t *testing.T) {
	t.Parallel()
	for _, options := range []string{
		"?heartbeat=7", "?heartbeat=0", "?heartbeat=20s&window=16", "?connection_timeout=5000", "?channel_max=100",
		"?auth_mechanism=amqplain&heartbeat=7", "?auth_mechanism=external&auth_mechanism=plain", "?cacertfile=/nowhere.pem",
	} {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			var tuned amqp.Config
			config := wamqp.NewDurableQueueConfig(brokerURL() + options)
			config.Connection.AmqpConfig = &tuned
			publisher, err := amqptransport.NewPublisher(config, watermill.NopLogger{})
			if err != nil {
				t.Fatal(err)
			}
			if err := publisher.Close(); err != nil {
				t.Error(err)
			}
			if tuned.ChannelMax != 0 || tuned.Heartbeat != 0 || tuned.SASL != nil || tuned.Dial != nil {
				t.Error("the program's own configuration was changed")
			}
		})
	}
}

func TestMigrationRefusesWrongOptionsOfURIs(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]string{
		"?heartbeat=65535":             "is not a duration between 1s and 1h",
		"?heartbeat=100000":            "heartbeat",
		"?connection_timeout=soon":     "connection_timeout",
		"?channel_max=-1":              "channel_max",
		"?auth_mechanism=kerberos":     "write plain, amqplain or external",
		"?prefetch=7":                  "known: channels, heartbeat, queue_type, window",
		"?heartbeat=7&p@127.0.0.1/abc": "escape",
	} {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			config := wamqp.NewDurableQueueConfig("amqp://user:" + password + "@127.0.0.1:1/" + options)
			_, err := amqptransport.NewPublisher(config, watermill.NopLogger{})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want %q in it", err, want)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestTheConnectionTimeoutOfAURIEndsAHandshake(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	began := time.Now()
	config := wamqp.NewDurableQueueConfig("amqp://" + silent.Addr().String() + "/?connection_timeout=300")
	if _, err := amqptransport.NewPublisher(config, watermill.NopLogger{}); err == nil {
		t.Fatal("somebody who says nothing was taken for a broker")
	}
	if took := time.Since(began); took < 300*time.Millisecond || took > 3*time.Second {
		t.Errorf("it took %v, want 300 ms", took)
	}
}
