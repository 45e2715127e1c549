package plan

import (
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/ours"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

// flat is how much the cost of a message may differ.
var flat = rounds.Bound{AtMost: 1.3}

// scaling looks whether a message costs the same however many subscriptions or waiting messages there are.
func (c catalogue) scaling() []Contest {
	subscriptions := rounds.Contest{Readings: []rounds.Reading{
		{ID: "flat", Name: "memory transport, 1 to 1,000 subscriptions in a process", Metric: rounds.Spread, Bound: flat},
	}}
	for _, n := range []int{1, 10, 100, 1000} {
		subscriptions.Sides = append(subscriptions.Sides, rounds.Side{
			Peer: ours.Crowd(), Run: trial.InProcess, Messages: 200_000,
			Load: load.Load{Bytes: small, Mode: load.Sync, Callers: 1, Subscriptions: n},
		})
	}
	memory := rounds.Contest{Readings: []rounds.Reading{
		{ID: "flat", Name: "memory transport, 1 k to 1 M messages of 64 B that wait", Metric: rounds.Spread, Bound: flat},
	}}
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		memory.Sides = append(memory.Sides, rounds.Side{
			Peer: ours.DeepMemory(), Run: trial.Backlog(nil), Messages: max(n, 200_000),
			Load: load.Load{Bytes: small, Mode: load.Async, Backlog: n},
		})
	}
	amqp := rounds.Contest{Readings: []rounds.Reading{
		{ID: "flat", Name: "RabbitMQ, 1 k to 100 k messages of 64 B that wait, quorum", Metric: rounds.Spread, Bound: flat},
	}}
	heap := rounds.Contest{Readings: []rounds.Reading{
		{ID: "flat", Name: "RabbitMQ, live heap of the client while 1 k to 100 k messages of 64 B wait, quorum", Metric: rounds.HeapSpread, Bound: flat},
	}}
	for _, n := range []int{1_000, 100_000} {
		l := load.Load{Queue: load.Quorum, Bytes: small, Mode: load.Async, Backlog: n}
		amqp.Sides = append(amqp.Sides, rounds.Side{Peer: c.ours, Run: trial.Backlog(c.broker), Messages: 100_000, Load: l})
		heap.Sides = append(heap.Sides, rounds.Side{Peer: c.ours, Run: trial.Heap(c.broker), Messages: 100_000, Load: l})
	}
	// The peer says how much of the growth is the broker's, which pages what waits.
	deep := rounds.Contest{Readings: []rounds.Reading{
		{ID: "flat", Name: "RabbitMQ, 1 k to 1 M messages of 64 B that wait, classic", Metric: rounds.Outer(rounds.Spread), Bound: flat},
		{ID: "flat", Name: "RabbitMQ, client CPU while 1 k to 1 M messages of 64 B wait, classic", Metric: rounds.Outer(rounds.CPUSpread), Bound: flat},
		{Name: "RabbitMQ, 1 k to 1 M messages of 64 B that wait, classic, growth to that of raw in the form of our messages", Metric: rounds.Growth},
	}}
	for _, side := range []struct {
		peer peer.Peer
		n    int
	}{{c.ours, 1_000}, {c.formed, 1_000}, {c.formed, 1_000_000}, {c.ours, 1_000_000}} {
		deep.Sides = append(deep.Sides, rounds.Side{
			Peer: side.peer, Run: trial.Backlog(c.broker), Messages: max(side.n, 100_000),
			Load: load.Load{Queue: load.Classic, Bytes: small, Mode: load.Async, Backlog: side.n},
		})
	}
	return []Contest{
		{Contest: subscriptions},
		{Contest: memory, Extra: true},
		{Contest: amqp, Extra: true},
		{Contest: heap, Extra: true},
		{Contest: deep, Extra: true, Once: true},
	}
}
