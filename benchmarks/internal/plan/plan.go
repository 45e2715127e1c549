// Package plan is the list of contests: which sides meet with which loads, and what they have to reach.
package plan

import (
	"fmt"

	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/ours"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	"github.com/asyncpb/async/benchmarks/internal/peer/raw"
	"github.com/asyncpb/async/benchmarks/internal/peer/watermill"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

// Part is contests that belong together.
type Part struct {
	Title    string
	Contests []Contest
}

// Contest is a contest and how much of it belongs to a run.
type Contest struct {
	rounds.Contest
	// Extra marks what has no target or takes long: the short form leaves it out, and the full one gives it three rounds.
	Extra bool
	// Sanity marks what makes a whole run void when it is out of its bounds.
	Sanity bool
	// Once marks what takes minutes: it has one round.
	Once bool
	// Factor stretches the time of a run; zero is one.
	Factor float64
}

// All returns every part, in the order in which they run.
func All(b *broker.Broker) []Part {
	c := catalogue{
		broker: b, ours: ours.New(b), raw: raw.New(b), formed: raw.NewFormed(b), wmDefault: watermill.Default(b), wmBest: watermill.Best(b), wmMany: watermill.Many(b, 64),
	}
	return []Part{
		inProcess(),
		{Title: "Denominators", Contests: c.sanity()},
		{Title: "Publish", Contests: c.publish()},
		{Title: "Consume", Contests: c.consume()},
		{Title: "End to end", Contests: c.endToEnd()},
		{Title: "Requests", Contests: c.requests()},
		{Title: "Latency at a fixed rate", Contests: c.latency()},
		{Title: "Cost that does not grow", Contests: c.scaling()},
	}
}

// catalogue is the sides on RabbitMQ.
type catalogue struct {
	broker                                       *broker.Broker
	ours, raw, formed, wmDefault, wmBest, wmMany peer.Peer
}

// The denominators: raw amqp091-go, its publishing, its consuming, both at once, and one confirm at a time.
func (c catalogue) pub(queue string, size int) rounds.Side {
	return c.publishing(c.raw, load.Load{Queue: queue, Bytes: size, Mode: load.Async})
}

func (c catalogue) rtt(queue string, size int) rounds.Side {
	return c.publishing(c.raw, load.Load{Queue: queue, Bytes: size, Mode: load.Sync})
}

func (c catalogue) sub(queue string, size int) rounds.Side {
	return c.consuming(c.raw, load.Load{Queue: queue, Bytes: size, Mode: load.Async})
}

func (c catalogue) e2e(queue string, size int) rounds.Side {
	return c.through(c.raw, load.Load{Queue: queue, Bytes: size, Mode: load.Async})
}

func (c catalogue) publishing(p peer.Peer, l load.Load) rounds.Side {
	return rounds.Side{Peer: p, Load: l, Run: trial.Publish(c.broker)}
}

func (c catalogue) consuming(p peer.Peer, l load.Load) rounds.Side {
	return rounds.Side{Peer: p, Load: l, Run: trial.Consume(c.broker)}
}

func (c catalogue) through(p peer.Peer, l load.Load) rounds.Side {
	return rounds.Side{Peer: p, Load: l, Run: trial.EndToEnd(c.broker)}
}

const (
	large = 1024
	small = 64
)

var queues = []string{load.Classic, load.Quorum}

// each returns a target that differs between the types of queues.
func each(queue string, classic, quorum float64) rounds.Bound {
	if queue == load.Classic {
		return rounds.Bound{AtLeast: classic}
	}
	return rounds.Bound{AtLeast: quorum}
}

// duel is a contest of ours against one peer.
func duel(one, other rounds.Side, readings ...rounds.Reading) rounds.Contest {
	return rounds.Contest{Sides: []rounds.Side{one, other}, Readings: readings}
}

func rate(id, name string, bound rounds.Bound) rounds.Reading {
	return rounds.Reading{ID: id, Name: name, Metric: rounds.Rate, Bound: bound}
}

func named(format string, args ...any) string { return fmt.Sprintf(format, args...) }
