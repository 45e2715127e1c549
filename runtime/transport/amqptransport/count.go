package amqptransport

import (
	"fmt"
	"math"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

const (
	// leaderTime is how long RabbitMQ lets the leader of a quorum queue think about what is in the queue. Without an answer by
	// then it says that there is nothing: no message, no consumer (rabbit_quorum_queue:stat/2).
	leaderTime = 250 * time.Millisecond
	// maxLooks is how often such an answer is not believed.
	maxLooks = 8
	// probes is how many other questions tell how far away the broker is.
	probes = 3
)

// errNotCounted: what the broker says about a queue is not what is in it.
var errNotCounted = fmt.Errorf("%w; %s", transport.ErrNotCounted, leaderHint)

// count asks how many messages and consumers a queue has. That it has none is believed when it is said sooner than the broker would
// say it without knowing, the way to it apart.
func count(ch *amqp.Channel, queue string) (amqp.Queue, error) {
	for range maxLooks {
		asked := time.Now()
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil || q.Messages > 0 || q.Consumers > 0 {
			return q, err
		}
		took := time.Since(asked)
		if took < leaderTime {
			return q, nil
		}
		way, err := wayTo(ch)
		if err != nil {
			return q, err
		}
		if took-way < leaderTime {
			return q, nil
		}
	}
	return amqp.Queue{}, errNotCounted
}

// wayTo returns how long an answer of the broker is under way that no queue has to give: the shortest of a few, since each of
// them may have waited for something else.
func wayTo(ch *amqp.Channel) (shortest time.Duration, err error) {
	shortest = math.MaxInt64
	for range probes {
		asked := time.Now()
		if err := ch.Qos(1, 0, false); err != nil {
			return 0, err
		}
		shortest = min(shortest, time.Since(asked))
	}
	return shortest, nil
}

// vacate returns an error unless a queue has neither messages nor consumers. It does not believe what is said about a queue before
// that counts a consumer of its own: a queue without a leader counts as empty at once.
func vacate(ch *amqp.Channel, queue string) error {
	if err := vacant(ch, queue); err != nil {
		return err
	}
	if err := ch.Qos(1, 0, false); err != nil {
		return err
	}
	tag := "look." + watermill.NewShortUUID()
	deliveries, err := ch.Consume(queue, tag, false, false, false, false, nil)
	if serverCode(err) == amqp.InternalError {
		return fmt.Errorf("%w (%v)", errNotCounted, err) //nolint:errorlint // it does not pass with another connection
	}
	if err != nil {
		return err
	}
	q, err := count(ch, queue)
	if err == nil && q.Consumers == 0 {
		err = errNotCounted
	}
	if err != nil {
		return err
	}
	if err := ch.Cancel(tag, false); err != nil {
		return err
	}
	// What came to this consumer goes back with the end of the channel.
	for range deliveries {
		q.Messages++
	}
	if q.Messages > 0 {
		return inUse(q)
	}
	return vacant(ch, queue)
}

// vacant returns an error unless the broker says that a queue has neither messages nor consumers.
func vacant(ch *amqp.Channel, queue string) error {
	q, err := count(ch, queue)
	if err == nil && (q.Messages > 0 || q.Consumers > 0) {
		return inUse(q)
	}
	return err
}

func inUse(q amqp.Queue) error {
	return fmt.Errorf("%w: it has %d messages and %d consumers", transport.ErrInUse, q.Messages, q.Consumers)
}
