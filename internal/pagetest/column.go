// Package pagetest keeps the table in docs/transports.md to what the conformance suite has proven: each driver's test
// hands its column over.
package pagetest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/asyncpb/async/runtime/promisetest"
	"github.com/asyncpb/async/runtime/transport"
)

var update = flag.Bool("update", false, "write what the suite has proven into docs/transports.md")

// Column returns what [transporttest.Harness].Proven is for a driver of this module: it compares the column of the table of abilities
// with what was proven, or with -update writes it. page is the path of docs/transports.md.
func Column(page, scheme string) func(*testing.T, []transport.Feature) {
	return func(t *testing.T, proven []transport.Feature) {
		t.Helper()
		cells := make([][2]string, len(proven))
		for i, f := range proven {
			cells[i] = [2]string{f.Name, f.Ability.String()}
		}
		compare(t, page, "ability", scheme, cells)
	}
}

// Promise is [Column] for the table of the promise, and [promisetest.Harness].Proven.
func Promise(page, scheme string) func(*testing.T, []promisetest.Row) {
	return func(t *testing.T, rows []promisetest.Row) {
		t.Helper()
		cells := make([][2]string, len(rows))
		for i, r := range rows {
			cells[i] = [2]string{r.Name, r.String()}
		}
		compare(t, page, "promise", scheme, cells)
	}
}

// compare holds the column of a scheme in the table whose first cell is table to names and values.
func compare(t *testing.T, page, table, scheme string, proven [][2]string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	head := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "| "+table+" | `") })
	if head < 0 {
		t.Fatalf("%s has no table that begins with %q", page, table)
	}
	column := slices.Index(cells(lines[head]), "`"+scheme+"`")
	if column < 0 {
		t.Fatalf("%s: the table has no column %s", page, scheme)
	}
	for _, p := range proven {
		name, value := p[0], p[1]
		i := slices.IndexFunc(lines[head:], func(l string) bool { return strings.HasPrefix(l, "| "+name+" |") })
		if i < 0 {
			t.Errorf("%s: the table has no row %q", page, name)
			continue
		}
		row := cells(lines[head+i])
		if row[column] == value {
			continue
		}
		if !*update {
			t.Errorf("%s says that %s of %s is %q, and the suite has proven %q; run the test with -update", page, name, scheme, row[column], value)
		}
		row[column] = value
		lines[head+i] = "| " + strings.Join(row, " | ") + " |"
	}
	if *update {
		if err := os.WriteFile(page, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func cells(row string) []string {
	parts := strings.Split(strings.Trim(row, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
