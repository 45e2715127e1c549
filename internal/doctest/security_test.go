package doctest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// proof is one entry of the column "proven by": a package, and the tests in it.
var proof = regexp.MustCompile("`([a-z/-]+)`: ((?:`(?:Test|Fuzz)\\w+`(?:, )?)+)")

// TestEveryPromiseOfSecurityIsProven: the tests that docs/security.md names are there.
func TestEveryPromiseOfSecurityIsProven(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(read(t, root+"/docs/security.md"), "\n## Promises\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.HasPrefix(line, "| promise") {
			continue
		}
		rows++
		entries := proof.FindAllStringSubmatch(cells[2], -1)
		if len(entries) == 0 {
			t.Errorf("nothing proves: %s", cells[0])
		}
		for _, entry := range entries {
			source := testsOf(t, entry[1])
			for name := range strings.SplitSeq(strings.TrimSuffix(entry[2], ", "), ", ") {
				if name = strings.Trim(name, "`"); !strings.Contains(source, "\nfunc "+name+"(") {
					t.Errorf("%s has no %s, which is said to prove: %s", entry[1], name, cells[0])
				}
			}
		}
	}
	if rows < 10 {
		t.Errorf("%d promises were found", rows)
	}
}

// testsOf is the source of the tests of a package.
func testsOf(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests: %v", folder, err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
