package plan

import (
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/ours"
	"github.com/asyncpb/async/benchmarks/internal/peer/h2c"
	"github.com/asyncpb/async/benchmarks/internal/peer/raw"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

// requests compares round trips: to a raw client over the same broker, with its cheapest messages and with those of our form, and to
// Connect's own wire.
func (c catalogue) requests() []Contest {
	const callers = 64
	desk, bare, formed := ours.NewDesk(c.broker), raw.NewDesk(c.broker), raw.NewFormedDesk(c.broker)
	var contests []Contest
	for _, queue := range queues {
		l := load.Load{Queue: queue, Bytes: large, Mode: load.Request, Callers: callers}
		contests = append(contests, Contest{Contest: duel(c.through(desk, l), c.through(bare, l),
			rate("T16", named("request and reply, 64 callers, %s, to raw amqp091-go and direct reply-to", queue), rounds.Bound{AtLeast: 0.8}),
			rounds.Reading{Name: named("p50 of a request, 64 callers, %s, to raw amqp091-go and direct reply-to", queue), Metric: rounds.P50},
			rounds.Reading{Name: named("p99 of a request, 64 callers, %s, to raw amqp091-go and direct reply-to", queue), Metric: rounds.P99})},
			Contest{Extra: true, Contest: duel(c.through(formed, l), c.through(bare, l),
				rate("", named("raw request and reply in our form, 64 callers, %s, to raw amqp091-go and direct reply-to", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(c.through(desk, l), c.through(formed, l),
				rate("", named("request and reply, 64 callers, %s, to raw amqp091-go in our form", queue), rounds.Bound{}))})
	}
	over := load.Load{Bytes: large, Mode: load.Request, Callers: callers}
	l := over
	l.Queue = load.Quorum
	return append(contests, Contest{Extra: true, Contest: duel(c.through(desk, l), rounds.Side{Peer: h2c.New(), Load: over, Run: trial.InProcess},
		rate("", "request and reply, 64 callers, quorum, to HTTP/2 (h2c)", rounds.Bound{}),
		rounds.Reading{Name: "p50 of a request, 64 callers, quorum, to HTTP/2 (h2c)", Metric: rounds.P50},
		rounds.Reading{Name: "p99 of a request, 64 callers, quorum, to HTTP/2 (h2c)", Metric: rounds.P99})})
}
