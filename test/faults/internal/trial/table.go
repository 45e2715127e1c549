package trial

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Faults is every fault, in the order of their numbers.
func Faults() []Fault {
	all := slices.Concat(network(), broker(), cluster(), crash(), poison())
	slices.SortStableFunc(all, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(ordinal(a.Number), ordinal(b.Number)), cmp.Compare(a.Number, b.Number))
	})
	return all
}

// ordinal is the number in F12p.
func ordinal(number string) int {
	n := 0
	for _, r := range number {
		if r >= '0' && r <= '9' {
			n = n*10 + int(r-'0')
		}
	}
	return n
}

// Choose picks faults by their numbers, separated by commas; none picks all of them.
func Choose(numbers string) ([]Fault, error) {
	all := Faults()
	if numbers == "" {
		return all, nil
	}
	var chosen []Fault
	for number := range strings.SplitSeq(numbers, ",") {
		i := slices.IndexFunc(all, func(f Fault) bool { return f.Number == number })
		if i < 0 {
			known := make([]string, len(all))
			for k := range all {
				known[k] = all[k].Number
			}
			return nil, fmt.Errorf("the fault %q is unknown; known: %s", number, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Sort puts results into the order of their faults; a soak comes last.
func Sort(results []*Result) {
	rank := func(r *Result) int {
		if n := ordinal(r.Fault); n > 0 {
			return n
		}
		return math.MaxInt
	}
	slices.SortStableFunc(results, func(a, b *Result) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Fault, b.Fault), cmp.Compare(b.Queue, a.Queue))
	})
}
