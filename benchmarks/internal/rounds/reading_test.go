package rounds_test

import (
	"testing"

	"github.com/asyncpb/async/benchmarks/internal/rounds"
)

func TestABoundIsMetWithinIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		bound rounds.Bound
		ratio float64
		met   bool
	}{
		{"above the least", rounds.Bound{AtLeast: 0.9}, 1, true},
		{"below the least", rounds.Bound{AtLeast: 0.9}, 0.8, false},
		{"below the most", rounds.Bound{AtMost: 1.4}, 1.3, true},
		{"above the most", rounds.Bound{AtMost: 1.4}, 1.5, false},
		{"a difference below zero, where only the most is bounded", rounds.Bound{AtMost: 1}, -1.3, true},
		{"within both", rounds.Bound{AtLeast: 1.1, AtMost: 2.5}, 1.2, true},
		{"below both", rounds.Bound{AtLeast: 1.1, AtMost: 2.5}, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.bound.Met(tt.ratio); got != tt.met {
				t.Errorf("%v with %v: got %t", tt.ratio, tt.bound, got)
			}
		})
	}
}
