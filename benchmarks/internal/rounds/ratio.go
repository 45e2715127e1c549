package rounds

import (
	"cmp"
	"slices"

	"github.com/asyncpb/async/benchmarks/internal/trial"
)

// Ratio is a reading of all rounds.
type Ratio struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Rounds []float64 `json:"rounds"`
}

// Read takes a reading of each round.
func (o Outcome) Read(m Metric) Ratio {
	var r Ratio
	for round := range o.Results[0] {
		results := make([]trial.Result, len(o.Results))
		for i := range o.Results {
			results[i] = o.Results[i][round]
		}
		r.Rounds = append(r.Rounds, m.Compare(results))
	}
	r.Median, r.Min, r.Max = Median(r.Rounds), slices.Min(r.Rounds), slices.Max(r.Rounds)
	return r
}

// Median returns the middle value, the upper one of two. There must be one.
func Median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
