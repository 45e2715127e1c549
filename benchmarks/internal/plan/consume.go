package plan

import (
	"time"

	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
)

func (c catalogue) consume() []Contest {
	var contests []Contest
	for _, queue := range queues {
		at := func(size, concurrency int, work time.Duration, t load.Telemetry) load.Load {
			return load.Load{Queue: queue, Bytes: size, Concurrency: concurrency, Work: work, Telemetry: t}
		}
		traced := load.SDKSampling
		contests = append(contests,
			Contest{Contest: duel(c.consuming(c.ours, at(large, 16, 0, load.Off)), c.sub(queue, large),
				rate("T6", named("consume, empty handler, 16 workers, %s, to SUB", queue), each(queue, 1.0, 0.9)))},
			Contest{Contest: duel(c.consuming(c.ours, at(large, 16, 0, traced)), c.sub(queue, large),
				rate("T7", named("consume, empty handler, OTel SDK on, %s, to SUB", queue), each(queue, 0.9, 0.7)))},
			Contest{Contest: duel(c.consuming(c.ours, at(large, 256, time.Millisecond, load.Off)), c.sub(queue, large),
				rate("T8", named("consume, handler of 1 ms, concurrency 256, %s, to SUB", queue), each(queue, 0.9, 0.8)))},
			Contest{Extra: true, Contest: duel(c.consuming(c.formed, load.Load{Queue: queue, Bytes: large, Mode: load.Async}), c.sub(queue, large),
				rate("", named("raw consuming messages in our form, %s, to SUB", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(c.consuming(c.ours, at(large, 16, 0, load.Off)), c.consuming(c.formed, load.Load{Queue: queue, Bytes: large, Mode: load.Async}),
				rate("", named("consume, empty handler, 16 workers, %s, to raw with messages in our form", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(c.consuming(c.ours, at(large, 16, 0, load.Off)), c.consuming(c.wmDefault, at(large, 0, 0, load.Off)),
				rate("", named("consume, empty handler, %s, to watermill-amqp and Router as they come", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(c.consuming(c.ours, at(large, 16, 0, load.Off)), c.consuming(c.wmBest, at(large, 0, 0, load.Off)),
				rate("", named("consume, empty handler, %s, to watermill-amqp and Router at their best", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(c.consuming(c.ours, at(small, 16, 0, load.Off)), c.sub(queue, small),
				rate("", named("consume, empty handler, 16 workers, 64 B, %s, to SUB", queue), rounds.Bound{}))},
			Contest{Extra: true, Contest: duel(c.consuming(c.ours, at(small, 16, 0, load.Off)), c.consuming(c.wmBest, at(small, 0, 0, load.Off)),
				rate("", named("consume, empty handler, 64 B, %s, to watermill-amqp and Router at their best", queue), rounds.Bound{}))},
		)
	}
	slow := func(concurrency int) load.Load {
		return load.Load{Queue: load.Quorum, Bytes: large, Concurrency: concurrency, Work: time.Millisecond}
	}
	return append(contests,
		Contest{Contest: duel(c.consuming(c.ours, slow(256)), c.consuming(c.wmBest, slow(0)),
			rate("T11", "consume, handler of 1 ms, concurrency 256, quorum, to watermill-amqp and Router at their best", rounds.Bound{AtLeast: 40}))},
		Contest{Extra: true, Contest: duel(c.consuming(c.ours, slow(256)), c.consuming(c.wmMany, slow(0)),
			rate("", "consume, handler of 1 ms, concurrency 256, quorum, to watermill-amqp and Router with 64 subscriptions of one queue", rounds.Bound{}))},
	)
}
