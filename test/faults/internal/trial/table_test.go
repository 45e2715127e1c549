package trial_test

import (
	"os"
	"strings"
	"testing"

	"github.com/asyncpb/async/test/faults/internal/trial"
)

// TestEveryFaultIsInTheReadme: each has a row, or shares one, that says what must hold.
func TestEveryFaultIsInTheReadme(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]bool)
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| F") && len(cells) == 3 {
			for number := range strings.SplitSeq(strings.TrimPrefix(cells[0], "| "), ", ") {
				rows[number] = true
			}
		}
	}
	for _, f := range trial.Faults() {
		if !rows[f.Number] {
			t.Errorf("%s, %s, has no row", f.Number, f.Title)
		}
		delete(rows, f.Number)
	}
	for number := range rows {
		t.Errorf("%s is in the page and nowhere else", number)
	}
}

// TestFaultsAreChosenByTheirNumbers: F1 to F14 are there, and what is not is said.
func TestFaultsAreChosenByTheirNumbers(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F13", "F14"} {
		if _, err := trial.Choose(number); err != nil {
			t.Error(err)
		}
	}
	if _, err := trial.Choose("F1,F99"); err == nil || !strings.Contains(err.Error(), "known: F1, F2") {
		t.Errorf("got %v", err)
	}
}
