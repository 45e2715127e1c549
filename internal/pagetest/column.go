// Package pagetest keeps the table in docs/transports.md to what the conformance suite has proven: each driver's test
// hands its column over.
package pagetest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

var update = flag.Bool("update", false, "write what the suite has proven into docs/transports.md")

// Column returns what [transporttest.Harness].Proven is for a driver of this module: it compares the column of the table
// with what was proven, or with -update writes it. page is the path of docs/transports.md.
func Column(page, scheme string) func(*testing.T, []transport.Feature) {
	return func(t *testing.T, proven []transport.Feature) {
		t.Helper()
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		head := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "| ability | `") })
		if head < 0 {
			t.Fatalf("%s has no table of abilities", page)
		}
		column := slices.Index(cells(lines[head]), "`"+scheme+"`")
		if column < 0 {
			t.Fatalf("%s: the table has no column %s", page, scheme)
		}
		for _, f := range proven {
			i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "| "+f.Name+" |") })
			if i < head {
				t.Errorf("%s: the table has no row %q", page, f.Name)
				continue
			}
			row := cells(lines[i])
			if row[column] == f.Ability.String() {
				continue
			}
			if !*update {
				t.Errorf("%s says that %s of %s is %q, and the suite has proven %q; run the test with -update", page, f.Name, scheme, row[column], f.Ability)
			}
			row[column] = f.Ability.String()
			lines[i] = "| " + strings.Join(row, " | ") + " |"
		}
		if *update {
			if err := os.WriteFile(page, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
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
