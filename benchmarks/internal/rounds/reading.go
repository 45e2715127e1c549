package rounds

import (
	"fmt"
	"slices"

	"github.com/asyncpb/async/benchmarks/internal/trial"
)

// Reading is a number that a contest is held for, taken in each round.
type Reading struct {
	// ID is that of the target, such as "T1"; Name says what is compared.
	ID, Name string
	// Metric is how the results of one round become a ratio.
	Metric Metric
	// Bound is the target.
	Bound Bound
}

// Metric compares the results of one round.
type Metric struct {
	// Text says what the ratio is.
	Text    string
	Compare func(results []trial.Result) float64
	// Budget says what takes the place of the peer where ours is held to an absolute limit.
	Budget string
}

// Bound is a target of a ratio: at least AtLeast, or at most AtMost, and none when both are zero.
type Bound struct{ AtLeast, AtMost float64 }

// Met reports whether a ratio keeps to the bound. What costs more than a peer may come out below zero, where the difference
// is smaller than its noise.
func (b Bound) Met(ratio float64) bool {
	return (b.AtLeast == 0 || ratio >= b.AtLeast) && (b.AtMost == 0 || ratio <= b.AtMost)
}

// None reports whether there is no target.
func (b Bound) None() bool { return b == Bound{} }

func (b Bound) String() string {
	switch {
	case b.AtMost > 0 && b.AtLeast > 0:
		return fmt.Sprintf("%.4g to %.4g", b.AtLeast, b.AtMost)
	case b.AtMost > 0:
		return fmt.Sprintf("at most %.4g", b.AtMost)
	case b.AtLeast > 0:
		return fmt.Sprintf("at least %.4g", b.AtLeast)
	}
	return ""
}

// Rate compares messages a second, ours to the peer's.
var Rate = Metric{Text: "messages a second", Compare: ratio(trial.Result.Rate)}

// CPU compares the client's CPU time for a message.
var CPU = Metric{Text: "client CPU a message", Compare: ratio(func(r trial.Result) float64 { return float64(r.CPUPerMessage()) })}

// P50, P99 and P999 compare latencies.
var (
	P50  = Metric{Text: "p50 latency", Compare: ratio(func(r trial.Result) float64 { return float64(r.P50) })}
	P99  = Metric{Text: "p99 latency", Compare: ratio(func(r trial.Result) float64 { return float64(r.P99) })}
	P999 = Metric{Text: "p99.9 latency", Compare: ratio(func(r trial.Result) float64 { return float64(r.P999) })}
)

// Spread compares the slowest side to the fastest by the time for a message.
var Spread = Metric{Text: "ns a message, largest to smallest", Compare: func(results []trial.Result) float64 {
	low, high := extremes(results, trial.Result.Nanoseconds)
	return high / low
}}

// CPUSpread compares the side whose client takes most CPU time for a message to that which takes least.
var CPUSpread = Metric{Text: "client CPU a message, largest to smallest", Compare: func(results []trial.Result) float64 {
	low, high := extremes(results, func(r trial.Result) float64 { return float64(r.CPUPerMessage()) })
	return high / low
}}

// HeapSpread compares the largest live heap to the smallest.
var HeapSpread = Metric{Text: "live heap, largest to smallest", Compare: func(results []trial.Result) float64 {
	low, high := extremes(results, func(r trial.Result) float64 { return float64(r.LiveHeap) })
	return high / low
}}

// Outer is a metric of the first side and the last, where those between are the peer's under the same loads.
func Outer(m Metric) Metric {
	compare := m.Compare
	m.Compare = func(r []trial.Result) float64 { return compare([]trial.Result{r[0], r[len(r)-1]}) }
	return m
}

// Growth compares how much longer a message takes on the last side than on the first to the same of the two between them.
var Growth = Metric{Text: "growth of ns a message, to the peer's", Compare: func(r []trial.Result) float64 {
	return (r[3].Nanoseconds() / r[0].Nanoseconds()) / (r[2].Nanoseconds() / r[1].Nanoseconds())
}}

// Nanoseconds compares the time for a message to a limit.
func Nanoseconds(limit float64) Metric {
	return Metric{
		Text: "ns a message, to the budget", Budget: fmt.Sprintf("%.0f ns", limit),
		Compare: func(r []trial.Result) float64 { return r[0].Nanoseconds() / limit },
	}
}

// Allocs compares the allocations for a message to a limit.
func Allocs(limit float64) Metric {
	return Metric{
		Text: "allocations a message, to the budget", Budget: fmt.Sprintf("%.0f allocations", limit),
		Compare: func(r []trial.Result) float64 { return r[0].AllocsPerMessage() / limit },
	}
}

// ExtraNanoseconds compares what our side takes more than the peer for a message to a limit.
func ExtraNanoseconds(limit float64) Metric {
	return Metric{
		Text: "additional CPU ns a message, to the budget", Budget: fmt.Sprintf("%.0f ns on top", limit),
		Compare: func(r []trial.Result) float64 { return float64(r[0].CPUPerMessage()-r[1].CPUPerMessage()) / limit },
	}
}

// ExtraAllocs compares what our side allocates more than the peer for a message to a limit.
func ExtraAllocs(limit float64) Metric {
	return Metric{
		Text: "additional allocations a message, to the budget", Budget: fmt.Sprintf("%.0f allocations on top", limit),
		Compare: func(r []trial.Result) float64 { return (r[0].AllocsPerMessage() - r[1].AllocsPerMessage()) / limit },
	}
}

func ratio(value func(trial.Result) float64) func([]trial.Result) float64 {
	return func(r []trial.Result) float64 { return value(r[0]) / value(r[1]) }
}

func extremes(results []trial.Result, value func(trial.Result) float64) (low, high float64) {
	values := make([]float64, len(results))
	for i, r := range results {
		values[i] = value(r)
	}
	return slices.Min(values), slices.Max(values)
}
