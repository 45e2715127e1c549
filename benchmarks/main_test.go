package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/asyncpb/async/benchmarks/internal/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryTargetHasARowThatRuns runs a moment of each contest with a target on RabbitMQ. What it measures means nothing: it
// may well find the run void.
func TestEveryTargetHasARowThatRuns(t *testing.T) {
	folder := t.TempDir()
	var out bytes.Buffer
	err := run(t.Context(), []string{"-short", "-rounds", "1", "-time", "10ms", "-out", folder, "-only", "^T|^sane"}, &out)
	if err != nil && !strings.Contains(err.Error(), "the run is void") {
		t.Fatalf("%v\n%s", err, &out)
	}
	data, err := os.ReadFile(filepath.Join(folder, "benchmarks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, row := range r.Rows {
		ids[row.ID] = true
		if row.Error != "" {
			t.Errorf("%s %s: %s", row.ID, row.Name, row.Error)
		}
	}
	for _, id := range []string{"T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "T13", "T14", "T15", "T16", "sane"} {
		if !ids[id] {
			t.Errorf("no row has the id %s", id)
		}
	}
}

// TestSomeRowsReplaceNoWholeRun is what somebody does who measures one row again.
func TestSomeRowsReplaceNoWholeRun(t *testing.T) {
	folder := t.TempDir()
	profiles := filepath.Join(t.TempDir(), "profiles")
	args := []string{"-short", "-rounds", "1", "-time", "10ms", "-out", folder, "-only", "^T13", "-profiles", profiles}
	var out bytes.Buffer
	if err := run(t.Context(), args, &out); err == nil || !strings.Contains(err.Error(), "the denominators were not compared") {
		t.Fatalf("a run without the denominators: %v\n%s", err, &out)
	}
	path := filepath.Join(folder, report.DataName)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), args, &out); err == nil || !strings.Contains(err.Error(), "would replace the whole run in "+path) {
		t.Errorf("the second run: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the report has changed (%v)", err)
	}
	if files, err := os.ReadDir(profiles); len(files) != 1 {
		t.Errorf("%d profiles, want 1 (%v)", len(files), err)
	}
	page, err := os.ReadFile(filepath.Join(folder, "benchmarks.md"))
	if err != nil || !strings.Contains(string(page), "**Only the rows that match** `^T13` were run.") {
		t.Errorf("the page does not say what was run (%v)", err)
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "("}, {"-rounds", "many"}, {"-nosuch"}} {
		if err := run(t.Context(), args, new(bytes.Buffer)); err == nil {
			t.Errorf("%v are taken", args)
		}
	}
}
