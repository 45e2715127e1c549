package async_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
)

// A stranger's message may have headers that fill a frame, with no room for what the broker adds on the way through delays.
func TestAMessageThatCannotBeStoredAgainIsADeadLetterAtOnce(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{
		"whose headers leave no room for delays": 122_500,
		"whose headers fill the frame":           129_000,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "amqp")
			var calls atomic.Int32
			rt := w.handleShip(t, func(context.Context, string) error {
				calls.Add(1)
				return errBroken
			})
			conn, err := amqp091.Dial(w.url)
			must(t, err)
			defer conn.Close()
			channel, err := conn.Channel()
			must(t, err)
			header := strings.Repeat("h", size)
			must(t, channel.PublishWithContext(t.Context(), w.topic(ordersv1async.OrdersShipTopic), "", false, false, amqp091.Publishing{
				MessageId: "1", Type: "acme.orders.v1.ShipRequest", ContentType: "application/protobuf", DeliveryMode: amqp091.Persistent,
				Headers: amqp091.Table{"foreign": header},
			}))
			eventually(t, "it is a dead letter", func() bool { return rt.Stats().DeadLettered == 1 })
			dead := w.deadLetters(t, ordersv1async.OrdersShipTopic, "orders", 1)[0]
			if dead["async-dead-reason"] != "too-large" || !strings.Contains(dead["async-dead-error"], "broken") || dead["foreign"] != header {
				delete(dead, "foreign")
				t.Errorf("dead letter %v", dead)
			}
			if calls.Load() != 1 || rt.Stats().DeadLetterFailures != 0 {
				t.Errorf("%d calls, %+v", calls.Load(), rt.Stats())
			}
		})
	}
}
