package plan

import (
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
)

// sanity looks whether the denominators are what they should be: a client that is slow by mistake would flatter us.
func (c catalogue) sanity() []Contest {
	var contests []Contest
	for _, queue := range queues {
		noConfirm := c.publishing(c.raw, load.Load{Queue: queue, Bytes: large, Mode: load.NoConfirm})
		contests = append(contests,
			Contest{Sanity: true, Factor: 2, Contest: duel(noConfirm, c.pub(queue, large),
				rate("sane", named("raw without confirm to PUB, %s", queue), rounds.Bound{AtLeast: 1.1, AtMost: 2.5}))},
			Contest{Sanity: true, Contest: duel(c.rtt(queue, large), c.pub(queue, large),
				rate("sane", named("RTT to PUB, %s", queue), rounds.Bound{AtLeast: 0.04, AtMost: 0.25}))},
		)
	}
	return contests
}

func (c catalogue) publish() []Contest {
	var contests []Contest
	for _, queue := range queues {
		sends := func(mode load.Mode, callers int, t load.Telemetry) rounds.Side {
			return c.publishing(c.ours, load.Load{Queue: queue, Bytes: large, Mode: mode, Callers: callers, Telemetry: t})
		}
		traced := load.SDKSampling
		contests = append(contests,
			Contest{Contest: duel(sends(load.Async, 1, load.Off), c.pub(queue, large),
				rate("T1", named("async send, 1 caller, %s, to PUB", queue), each(queue, 1.2, 1.0)))},
			Contest{Contest: duel(sends(load.Sync, 64, load.Off), c.pub(queue, large),
				rate("T2", named("sync send, 64 callers, %s, to PUB", queue), each(queue, 1.0, 0.9)))},
			Contest{Contest: duel(sends(load.Sync, 256, traced), c.pub(queue, large),
				rate("T3", named("sync send, 256 callers, OTel SDK on, %s, to PUB", queue), each(queue, 1.2, 1.0)))},
			Contest{Contest: duel(sends(load.Sync, 1, load.Off), c.rtt(queue, large),
				rate("T4", named("sync send, 1 caller, %s, to RTT", queue), rounds.Bound{AtLeast: 0.95}))},
			Contest{Contest: duel(sends(load.Batch, 1, load.Off), c.pub(queue, large),
				rate("T5", named("batch of 64, 1 caller, %s, to PUB", queue), each(queue, 1.2, 0.85)))},
			Contest{Extra: true, Contest: duel(c.publishing(c.formed, load.Load{Queue: queue, Bytes: large, Mode: load.Async}), c.pub(queue, large),
				rate("", named("raw in the form of our messages, %s, to PUB", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(sends(load.Async, 1, load.Off), c.publishing(c.formed, load.Load{Queue: queue, Bytes: large, Mode: load.Async}),
				rate("", named("async send, 1 caller, %s, to raw in the form of our messages", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(sends(load.Sync, 256, load.Off), c.pub(queue, large),
				rate("", named("sync send, 256 callers, %s, to PUB", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(sends(load.Sync, 64, load.Off), c.publishing(c.wmDefault, load.Load{Queue: queue, Bytes: large, Mode: load.Sync, Callers: 64}),
				rate("", named("sync send, 64 callers, %s, to watermill-amqp as it comes", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(sends(load.Sync, 64, load.Off), c.publishing(c.wmBest, load.Load{Queue: queue, Bytes: large, Mode: load.Sync, Callers: 64}),
				rate("", named("sync send, 64 callers, %s, to watermill-amqp at its best", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(sends(load.Sync, 64, traced), c.publishing(c.wmBest, load.Load{Queue: queue, Bytes: large, Mode: load.Sync, Callers: 64, Telemetry: traced}),
				rate("", named("sync send, 64 callers, OTel SDK on, %s, to watermill-amqp at its best", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(c.publishing(c.ours, load.Load{Queue: queue, Bytes: small, Mode: load.Async, Callers: 1}), c.pub(queue, small),
				rate("", named("async send, 1 caller, 64 B, %s, to PUB", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(c.publishing(c.ours, load.Load{Queue: queue, Bytes: small, Mode: load.Sync, Callers: 64}), c.pub(queue, small),
				rate("", named("sync send, 64 callers, 64 B, %s, to PUB", queue), rounds.Bound{}))},
		)
	}
	return contests
}
