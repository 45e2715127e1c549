package asyncotel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	async "github.com/asyncpb/async/runtime"
)

// arrival is how a message came to its receiver.
type arrival struct {
	waited time.Duration // since it was handed to the broker
	known  bool          // waited is
	skewed bool          // the sender's clock is ahead
	first  bool          // nobody had it before
	again  bool          // the broker hands it out once more
}

func arrivalOf(d async.ReceivedDelivery, from *origin, at time.Time) (a arrival) {
	a.waited, a.known, a.skewed = since(at, from.sent)
	a.again = d.Delivery != nil && d.Delivery.Redeliveries() > 0
	a.first = d.Attempt <= 1 && !a.again && !from.failed
	return a
}

// attributes appends those that tell of the time in the queue, if it is one.
func (a arrival) attributes(to []attribute.KeyValue) []attribute.KeyValue {
	if !a.known || !a.first {
		return to
	}
	return append(to, keyQueueDuration.Float64(a.waited.Seconds()), keyQueueClock.String(queueClockProducer))
}

// countArrival counts a redelivery and a skewed clock for o, and the time in the queue if it is one.
func (p *endpoint) countArrival(ctx context.Context, a arrival, o *operation, queued bool) {
	if a.again {
		o.success.add(countedRedeliveries, 1)
	}
	if a.skewed {
		o.success.add(countedSkew, 1)
	}
	if queued && a.known && a.first {
		p.instruments.queue.record(ctx, a.waited.Seconds(), p.process.success)
	}
}
