package memorytransport_test

import (
	"testing"

	"github.com/asyncpb/async/internal/pagetest"
	"github.com/asyncpb/async/runtime/promisetest"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
	"github.com/asyncpb/async/runtime/transport/transporttest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	broker := memorytransport.NewBroker()
	transporttest.Run(t, transporttest.Harness{
		Open: func(*testing.T) transport.Transport { return broker.Open() },
		OpenBounded: func(_ *testing.T, capacity int) transport.Transport {
			return memorytransport.New(memorytransport.WithCapacity(capacity))
		},
		Proven: pagetest.Column("../../../docs/transports.md", "memory"),
	})
}

func TestConformanceOfTheRuntime(t *testing.T) {
	t.Parallel()
	promisetest.Run(t, promisetest.Harness{
		Broker: func(*testing.T) func() transport.Transport {
			broker := memorytransport.NewBroker()
			return func() transport.Transport { return broker.Open() }
		},
		Proven: pagetest.Promise("../../../docs/transports.md", "memory"),
	})
}
