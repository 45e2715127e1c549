package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a configuration file. Lines and columns count from 1.
type Position struct {
	File         string
	Line, Column int
}

// String returns file:line:col.
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// ProblemError is one thing that is wrong in a configuration.
type ProblemError struct {
	Pos Position
	// What is wrong, and what to write instead.
	What, Instead string
}

// Error returns "file:line:col: what is wrong; what to write instead".
func (e *ProblemError) Error() string {
	if e.Instead == "" {
		return fmt.Sprintf("%v: %s", e.Pos, e.What)
	}
	return fmt.Sprintf("%v: %s; %s", e.Pos, e.What, e.Instead)
}

// Error is everything that is wrong in a configuration, in the order of the file.
type Error struct{ Problems []*ProblemError }

// Error returns one problem a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, each a [*ProblemError].
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		errs[i] = p
	}
	return errs
}

// Report collects problems. The zero value is empty and ready to use; it is for one goroutine at a time.
type Report struct{ problems []*ProblemError }

// Add takes one problem; instead may be empty.
func (r *Report) Add(pos Position, what, instead string) {
	r.problems = append(r.problems, &ProblemError{Pos: pos, What: what, Instead: instead})
}

// Join takes every problem of err, which is nil or has an [*Error] in its chain.
func (r *Report) Join(err error) {
	if list, ok := errors.AsType[*Error](err); ok {
		r.problems = append(r.problems, list.Problems...)
	}
}

// Err returns nil when nothing was added, and otherwise an [*Error] of everything, sorted and without duplicates.
func (r *Report) Err() error {
	if len(r.problems) == 0 {
		return nil
	}
	sorted := slices.SortedStableFunc(slices.Values(r.problems), func(a, b *ProblemError) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(a.What, b.What),
		)
	})
	return &Error{Problems: slices.CompactFunc(sorted, func(a, b *ProblemError) bool { return *a == *b })}
}
