package console_test

import (
	"os"
	"strings"
	"testing"

	"github.com/asyncpb/async/examples/internal/console"
)

func TestLinesStandInColumnsWithoutColorOffATerminal(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := console.New(&out, 6, 3)
	c.Title("%d lines", 2)
	c.Line(console.Green, "a", "→", "one")
	c.Line(console.Red, "longer than six", "b", "two")
	c.Note("done")
	want := "\n2 lines\n\n  a       →    one\n  longer than six  b    two\n  done\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFileThatIsNoTerminalHasNoColor(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	console.New(file).Line(console.Green, "plain")
	got, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "  plain\n" {
		t.Errorf("got %q, want a plain line", got)
	}
}
