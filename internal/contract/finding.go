package contract

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Position is a place in a .proto file. Line and Column count from 1; both are 0 if the descriptor carries no source
// information.
type Position struct {
	File         string
	Line, Column int
}

// String returns file:line:column, or the file alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Finding is one thing that is wrong with an annotation, and what to write instead.
type Finding struct {
	Position Position
	Text     string
	// Warning tells a finding that does no harm from a refusal.
	Warning bool
}

// String returns "position: text".
func (f Finding) String() string {
	if f.Warning {
		return f.Position.String() + ": warning: " + f.Text
	}
	return f.Position.String() + ": " + f.Text
}

// Findings is what was found, refusals and warnings.
type Findings []Finding

// Sorted returns the findings in order of their positions, each once.
func (fs Findings) Sorted() Findings {
	sorted := slices.Clone(fs)
	slices.SortFunc(sorted, func(a, b Finding) int {
		return cmp.Or(
			strings.Compare(a.Position.File, b.Position.File),
			cmp.Compare(a.Position.Line, b.Position.Line),
			cmp.Compare(a.Position.Column, b.Position.Column),
			strings.Compare(a.Text, b.Text),
		)
	})
	return slices.Compact(sorted)
}

// Err returns all refusals as one error, a sorted line for each, or nil if there are none.
func (fs Findings) Err() error {
	var lines []string
	for _, f := range fs.Sorted() {
		if !f.Warning {
			lines = append(lines, f.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Warnings returns the warnings, sorted.
func (fs Findings) Warnings() Findings {
	return slices.DeleteFunc(fs.Sorted(), func(f Finding) bool { return !f.Warning })
}

func (fs *Findings) refuse(at Position, format string, args ...any) {
	*fs = append(*fs, Finding{Position: at, Text: fmt.Sprintf(format, args...)})
}

func (fs *Findings) warn(at Position, format string, args ...any) {
	*fs = append(*fs, Finding{Position: at, Text: fmt.Sprintf(format, args...), Warning: true})
}

// Locate returns where a descriptor is declared or, with a path below it, the innermost part of it on that path whose
// place is known.
func Locate(d protoreflect.Descriptor, path ...int32) Position {
	file := d.ParentFile()
	if file == nil {
		return Position{File: string(d.FullName())}
	}
	locations := file.SourceLocations()
	location := locations.ByDescriptor(d)
	if location.Path == nil {
		return Position{File: file.Path()}
	}
	for n := len(path); n > 0; n-- {
		inner := locations.ByPath(append(slices.Clone(location.Path), path[:n]...))
		if inner.Path != nil {
			location = inner
			break
		}
	}
	return Position{File: file.Path(), Line: location.StartLine + 1, Column: location.StartColumn + 1}
}
