package plan

import (
	"github.com/asyncpb/async/benchmarks/internal/inprocess"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/ours"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
	"github.com/asyncpb/async/benchmarks/internal/trial"
)

// within is a limit of a share of a budget.
var within = rounds.Bound{AtMost: 1}

func inProcess() Part {
	at := func(p peer.Peer, t load.Telemetry) rounds.Side {
		return rounds.Side{Peer: p, Load: load.Load{Mode: load.Sync, Telemetry: t}, Run: trial.InProcess}
	}
	memory := at(ours.Memory(), load.Off)
	alone := func(t load.Telemetry) rounds.Side {
		return rounds.Side{Peer: ours.Memory(), Load: load.Load{Mode: load.Sync, Telemetry: t}, Run: trial.OneProcessor}
	}
	return Part{Title: "In process", Contests: []Contest{
		{Contest: duel(memory, at(inprocess.Gochannel(), load.Off),
			rate("T12", "memory transport, publish to handler, to Watermill gochannel and Router as they come", rounds.Bound{AtLeast: 4}),
			rounds.Reading{ID: "T13", Name: "memory transport, publish to handler, time", Metric: rounds.Nanoseconds(3000), Bound: within},
			rounds.Reading{ID: "T13", Name: "memory transport, publish to handler, allocations", Metric: rounds.Allocs(40), Bound: within})},
		// A difference of two times needs more of them than a ratio does.
		{Factor: 6, Contest: duel(alone(load.NoSDK), alone(load.Off),
			rounds.Reading{ID: "trace", Name: "what telemetry costs without an SDK, CPU time", Metric: rounds.ExtraNanoseconds(500), Bound: within},
			rounds.Reading{ID: "trace", Name: "what telemetry costs without an SDK, allocations", Metric: rounds.ExtraAllocs(8), Bound: within})},
		{Factor: 3, Contest: duel(alone(load.SDKOnePart), alone(load.Off),
			rounds.Reading{ID: "trace", Name: "what telemetry costs with the SDK sampling 1 %, CPU time", Metric: rounds.ExtraNanoseconds(2000), Bound: within})},
		{Extra: true, Factor: 3, Contest: duel(alone(load.SDKBare), alone(load.Off),
			rounds.Reading{Name: "what two bare spans cost with the SDK sampling 1 %, CPU time", Metric: rounds.ExtraNanoseconds(2000)})},
		{Extra: true, Contest: duel(at(ours.Memory(), load.SDKSampling), memory,
			rate("", "memory transport, publish to handler, OTel SDK on, to the same without telemetry", rounds.Bound{}))},
		{Extra: true, Contest: duel(memory, at(inprocess.BlockingGochannel(), load.Off),
			rate("", "memory transport, publish to handler, to Watermill gochannel that blocks and Router", rounds.Bound{}))},
		{Extra: true, Contest: duel(memory, at(inprocess.Channel(), load.Off),
			rate("", "memory transport, publish to handler, to a plain Go channel", rounds.Bound{}))},
	}}
}
