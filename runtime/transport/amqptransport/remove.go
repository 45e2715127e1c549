package amqptransport

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

var _ transport.Remover = (*Transport)(nil)

// Remove implements [transport.Remover]. RabbitMQ cannot delete a quorum queue only if it is unused and empty, so the
// queue is looked at first: without force, what arrives between the look and the deletion is deleted too, and then the
// error says how many messages that were. Messages that are out with somebody count only once they are back. For the look
// it consumes from a queue that seems empty, for a moment: the broker says the same of one whose leader does not
// answer, which stays.
func (t *Transport) Remove(ctx context.Context, queue string, force bool) (messages int, err error) {
	err = t.persist(ctx, func(ses *session) error {
		return t.onChannel(ctx, ses, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			if err == nil && !force {
				err = vacate(ch, queue)
			}
			if err != nil {
				return err
			}
			messages, err = ch.QueueDelete(queue, false, false, false)
			return err
		})
	})
	switch {
	case serverCode(err) == amqp.NotFound:
		return 0, fmt.Errorf("%w: queue %q does not exist", transport.ErrUnroutable, queue)
	case err != nil:
		return 0, fmt.Errorf("queue %q: %w", queue, err)
	case !force && messages > 0:
		return messages, fmt.Errorf("queue %q was empty when it was looked at, and %d messages that arrived before it was deleted are gone with it", queue, messages)
	default:
		return messages, nil
	}
}
