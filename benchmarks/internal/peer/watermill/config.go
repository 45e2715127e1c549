// Package watermill is watermill-amqp with Watermill's Router, typed with Watermill's protobuf marshaler and traced with
// OpenTelemetry, as its users wire it.
package watermill

import (
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"

	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
)

// tunedPool and tunedPrefetch are the best that was found: more of either changes nothing.
const (
	tunedPool     = 64
	tunedPrefetch = 256
)

// setup is one way to configure watermill-amqp.
type setup struct {
	confirm        bool
	pool, prefetch int
	// subscriptions is how many handlers of the Router subscribe to the queue, each with a channel of its own.
	subscriptions int
}

func (c setup) config(url string, l load.Load) wamqp.Config {
	config := wamqp.NewDurableQueueConfig(url)
	config.Queue.Arguments = broker.Arguments(l.Queue)
	config.Publish.ConfirmDelivery = c.confirm
	config.Publish.ChannelPoolSize = c.pool
	if c.prefetch > 0 {
		config.Consume.Qos.PrefetchCount = c.prefetch
	}
	return config
}
