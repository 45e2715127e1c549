package otelcheck

import (
	"fmt"
	"strconv"
)

// Rule is one thing that must hold for every scenario.
type Rule struct {
	// ID is R1 to R38.
	ID string
	// Says is what must hold.
	Says string
	// Check returns what is wrong.
	Check func(c *Capture) []string
}

// Rules returns all rules in their order.
func Rules() []Rule {
	var all []Rule
	all = append(all, structure...)
	all = append(all, contexts...)
	all = append(all, lifecycle...)
	all = append(all, phases...)
	all = append(all, measures...)
	return append(all, sampling...)
}

// report collects what is wrong.
type report []string

func (r *report) add(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

func plural(n int64) string { return strconv.FormatInt(n, 10) }
