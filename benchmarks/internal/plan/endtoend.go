package plan

import (
	"time"

	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
)

func (c catalogue) endToEnd() []Contest {
	at := func(queue string, size, callers int, t load.Telemetry) load.Load {
		return load.Load{Queue: queue, Bytes: size, Mode: load.Sync, Callers: callers, Telemetry: t}
	}
	const traced = load.SDKSampling
	ours := func(queue string, size, callers int, t load.Telemetry) rounds.Side {
		l := at(queue, size, callers, t)
		l.Concurrency = 16
		return c.through(c.ours, l)
	}
	slow := func(callers, concurrency int) load.Load {
		l := at(load.Quorum, large, callers, traced)
		l.Work, l.Concurrency = time.Millisecond, concurrency
		return l
	}
	none := rounds.Bound{}
	return []Contest{
		{Contest: duel(ours(load.Quorum, large, 256, traced), c.e2e(load.Quorum, large),
			rate("T9", "end to end, 256 callers, OTel SDK on, quorum, to E2E", rounds.Bound{AtLeast: 1.0}),
			rounds.Reading{ID: "T15", Name: "client CPU a message, end to end, OTel SDK on, quorum, to E2E", Metric: rounds.CPU, Bound: rounds.Bound{AtMost: 1.4}})},
		{Contest: duel(ours(load.Quorum, large, 256, traced), c.through(c.wmDefault, at(load.Quorum, large, 256, traced)),
			rate("T10", "end to end, 256 callers, OTel SDK on, quorum, to watermill-amqp and Router as they come", rounds.Bound{AtLeast: 15}))},
		{Contest: duel(ours(load.Quorum, large, 256, traced), c.through(c.wmBest, at(load.Quorum, large, 256, traced)),
			rate("T10", "end to end, 256 callers, OTel SDK on, quorum, to watermill-amqp and Router at their best", rounds.Bound{AtLeast: 2.5}))},
		{Extra: true, Contest: duel(ours(load.Classic, large, 256, traced), c.e2e(load.Classic, large),
			rate("", "end to end, 256 callers, OTel SDK on, classic, to E2E", none),
			rounds.Reading{Name: "client CPU a message, end to end, OTel SDK on, classic, to E2E", Metric: rounds.CPU})},
		{Extra: true, Contest: duel(ours(load.Quorum, large, 256, load.Off), c.e2e(load.Quorum, large),
			rate("", "end to end, 256 callers, quorum, to E2E", none),
			rounds.Reading{Name: "client CPU a message, end to end, quorum, to E2E", Metric: rounds.CPU})},
		{Extra: true, Contest: duel(ours(load.Quorum, large, 256, load.Off), c.through(c.formed, load.Load{Queue: load.Quorum, Bytes: large, Mode: load.Async}),
			rate("", "end to end, 256 callers, quorum, to raw with messages in our form", none),
			rounds.Reading{Name: "client CPU a message, end to end, quorum, to raw with messages in our form", Metric: rounds.CPU})},
		{Extra: true, Contest: duel(ours(load.Quorum, small, 256, load.Off), c.e2e(load.Quorum, small),
			rate("", "end to end, 256 callers, 64 B, quorum, to E2E", none))},
		{Extra: true, Contest: duel(ours(load.Quorum, large, 64, load.Off), c.through(c.wmBest, at(load.Quorum, large, 64, load.Off)),
			rate("", "end to end, 64 callers, quorum, to watermill-amqp and Router at their best", none))},
		{Extra: true, Contest: duel(c.through(c.ours, slow(256, 256)), c.through(c.wmBest, slow(64, 0)),
			rate("", "end to end, handler of 1 ms, OTel SDK on, quorum, to watermill-amqp and Router at their best", none))},
	}
}

// perSecond is the fixed rate at which latencies are compared.
const perSecond = 5000

func (c catalogue) latency() []Contest {
	ours := load.Load{Queue: load.Classic, Bytes: large, Mode: load.Async, Callers: 1, Rate: perSecond, Concurrency: 16}
	raw := load.Load{Queue: load.Classic, Bytes: large, Mode: load.Async, Rate: perSecond}
	best := load.Load{Queue: load.Classic, Bytes: large, Mode: load.Sync, Callers: 64, Rate: perSecond}
	// A percentile of 99.9 of 20,000 messages is an average of twenty.
	const factor = 8
	return []Contest{
		{Factor: factor, Contest: duel(c.through(c.ours, ours), c.through(c.raw, raw),
			rounds.Reading{ID: "T14", Name: "p99 end to end at 5,000/s, classic, to raw amqp091-go", Metric: rounds.P99, Bound: rounds.Bound{AtMost: 1.0}},
			rounds.Reading{Name: "p50 end to end at 5,000/s, classic, to raw amqp091-go", Metric: rounds.P50},
			rounds.Reading{Name: "p99.9 end to end at 5,000/s, classic, to raw amqp091-go", Metric: rounds.P999})},
		{Factor: factor, Extra: true, Contest: duel(c.through(c.ours, ours), c.through(c.wmBest, best),
			rounds.Reading{Name: "p99 end to end at 5,000/s, classic, to watermill-amqp and Router at their best", Metric: rounds.P99},
			rounds.Reading{Name: "p50 end to end at 5,000/s, classic, to watermill-amqp and Router at their best", Metric: rounds.P50})},
	}
}
