package check

import "slices"

// Growth is how much values grow from the first to the last time, as a share of their median: 0.05 is 5 %. It follows the
// median of the slopes between all pairs, which a few values that stand out do not move.
func Growth(at, values []int64) float64 {
	var slopes, sizes []float64
	for i := range values {
		sizes = append(sizes, float64(values[i]))
		for j := range i {
			if at[i] != at[j] {
				slopes = append(slopes, float64(values[i]-values[j])/float64(at[i]-at[j]))
			}
		}
	}
	size := median(sizes)
	if len(slopes) == 0 || size == 0 {
		return 0
	}
	return median(slopes) * float64(slices.Max(at)-slices.Min(at)) / size
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
