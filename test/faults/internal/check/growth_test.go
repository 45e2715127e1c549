package check_test

import (
	"math"
	"testing"

	"github.com/asyncpb/async/test/faults/internal/check"
)

func TestGrowthTellsALeakFromNoise(t *testing.T) {
	t.Parallel()
	series := func(value func(i int64) int64) float64 {
		var at, values []int64
		for i := range int64(100) {
			at, values = append(at, i*1e9), append(values, value(i))
		}
		return check.Growth(at, values)
	}
	for _, tt := range []struct {
		name  string
		value func(i int64) int64
		want  float64
	}{
		{"what stays does not grow", func(int64) int64 { return 50 }, 0},
		{"what swings does not grow", func(i int64) int64 { return 50 + i%2*10 }, 0},
		{"a few that stand out are no growth", func(i int64) int64 { return 50 + i/95*1000 }, 0},
		{"a leak of one at each step doubles it", func(i int64) int64 { return 50 + i }, 0.99},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := series(tt.value); math.Abs(got-tt.want) > 0.02 {
				t.Errorf("growth %.3f, want %.3f", got, tt.want)
			}
		})
	}
}
