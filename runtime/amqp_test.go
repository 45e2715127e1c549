package async_test

import (
	"os"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport"
)

func amqpURL() string {
	if url := os.Getenv("ASYNC_TEST_AMQP_URL"); url != "" {
		return url
	}
	return "amqp://guest:guest@127.0.0.1:5672/"
}

func newMessage(id string, payload []byte, md map[string]string) *message.Message {
	msg := message.NewMessage(id, payload)
	for k, v := range md {
		msg.Metadata.Set(k, v)
	}
	return msg
}

// sweep deletes from RabbitMQ what the test may have declared.
func (w *world) sweep(t *testing.T) {
	t.Helper()
	conn, err := amqp091.Dial(amqpURL())
	if err != nil {
		t.Errorf("sweep: %v", err)
		return
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Errorf("sweep: %v", err)
		return
	}
	for _, logical := range []string{
		ordersv1async.OrderEventsPlacedTopic, ordersv1async.OrderEventsMovedTopic,
		ordersv1async.OrdersShipTopic, ordersv1async.OrdersArchiveTopic, ordersv1async.OrdersQuoteTopic,
		moves(async.KindCommand, nil).Topic, "acme.test.v1.Before",
	} {
		topic := w.topic(logical)
		for _, group := range []string{"app", "other", "orders", "movers", "before"} {
			for _, queue := range []string{transport.QueueName(topic, group), transport.DeadName(topic, group)} {
				if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
					t.Errorf("sweep %s: %v", queue, err)
				}
			}
		}
		if err := ch.ExchangeDelete(topic, false, false); err != nil {
			t.Errorf("sweep %s: %v", topic, err)
		}
	}
}
