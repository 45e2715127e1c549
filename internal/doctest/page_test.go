package doctest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asyncpb/async/internal/doctest"
)

const root = "../.."

// pages are the pages of the documentation.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(root + "/docs/*.md")
	if err != nil || len(found) == 0 {
		t.Fatalf("no pages in docs: %v", err)
	}
	return append(found, root+"/README.md", root+"/CHANGELOG.md")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheCodeOfTheReadmeIsTheQuickstart(t *testing.T) {
	t.Parallel()
	sources := map[string]string{
		"go":    read(t, root+"/examples/quickstart/main.go"),
		"proto": read(t, root+"/examples/quickstart/proto/greeter/v1/greeter.proto"),
	}
	seen := make(map[string]int)
	for _, block := range doctest.Blocks(read(t, root+"/README.md")) {
		source, compared := sources[block.Language]
		if !compared {
			continue
		}
		seen[block.Language]++
		if !doctest.Excerpt(block.Text, source) {
			t.Errorf("README.md:%d: this is no excerpt of the quickstart; copy it from there:\n%s", block.Line, block.Text)
		}
	}
	for language := range sources {
		if seen[language] == 0 {
			t.Errorf("README.md has no block of %s", language)
		}
	}
}

func TestTheReadmeIsShort(t *testing.T) {
	t.Parallel()
	const most = 150
	if lines := strings.Count(read(t, root+"/README.md"), "\n"); lines > most {
		t.Errorf("README.md has %d lines, the limit is %d: move something to docs", lines, most)
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, target := range doctest.Links(read(t, page)) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", filepath.Base(page), target)
			}
		}
	}
}

func TestNoSentenceStandsTwice(t *testing.T) {
	t.Parallel()
	const short = 60 // what is shorter may be said again
	where := make(map[string]string)
	for _, page := range pages(t) {
		text := strings.Join(strings.Fields(read(t, page)), " ")
		for sentence := range strings.SplitSeq(text, ". ") {
			if len(sentence) < short {
				continue
			}
			if first, twice := where[sentence]; twice {
				t.Errorf("%s repeats a sentence of %s: %q", filepath.Base(page), first, sentence)
			}
			where[sentence] = filepath.Base(page)
		}
	}
}

func TestAnExcerptMayBeIndentedAsAWhole(t *testing.T) {
	t.Parallel()
	source := "func f() {\n\tif x {\n\t\ty()\n\n\t\tz()\n\t}\n}\n"
	tests := []struct {
		name, text string
		want       bool
	}{
		{"lines as they stand", "\tif x {\n\t\ty()\n", true},
		{"lines without their shared indentation", "if x {\n\ty()\n\n\tz()\n}\n", true},
		{"a line that is left out", "if x {\n\tz()\n}\n", false},
		{"a part of a line", "f x {\n", false},
		{"another indentation within", "if x {\ny()\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := doctest.Excerpt(test.text, source); got != test.want {
				t.Errorf("Excerpt(%q) is %v, want %v", test.text, got, test.want)
			}
		})
	}
}
