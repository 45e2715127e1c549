package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/asyncpb/async/test/faults/internal/trial"
)

const pageHead = `# Reliability

What ` + "`make faults-full` and `make soak`" + ` found, on a RabbitMQ node of their own. [test/faults](../test/faults/README.md) says what the faults and the
columns mean, and how to repeat them. The length is full where the fault lasted, and was repeated, as that page says. The same figures, with more
of each fault, are in [reliability.json](reliability.json).

| fault | queue | what goes wrong | length | injected | accepted | processed | dead | lost | phantom | duplicate | reordered | misdelivered | stuck | corrupt | s | met |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`

// publish writes results for programs and for people. Those of other faults and queues that were there stay.
func publish(folder string, results []*trial.Result) error {
	path := filepath.Join(folder, "reliability.json")
	var all []*trial.Result
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(data, &all); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, r := range results {
		all = slices.DeleteFunc(all, func(old *trial.Result) bool { return old.Fault == r.Fault && old.Queue == r.Queue })
		all = append(all, r)
	}
	trial.Sort(all)
	if data, err = json.MarshalIndent(all, "", "  "); err != nil {
		return err
	}
	restarts, err := readRestarts(folder)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(path, append(data, '\n'), 0o644),
		os.WriteFile(filepath.Join(folder, "reliability.md"), []byte(page(all, restarts)), 0o644),
	)
}

func page(results []*trial.Result, restarts []restart) string {
	var page strings.Builder
	page.WriteString(pageHead)
	for _, r := range results {
		met := "yes"
		if len(r.Broken) > 0 {
			met = "no: " + strings.NewReplacer("|", "/", "\n", " ").Replace(strings.Join(r.Broken, "; "))
		}
		if r.NotApplicable != "" {
			fmt.Fprintf(&page, "| %s | %s | %s | | | | | | | | | | | | | | not applicable: %s |\n", r.Fault, r.Queue, r.Title, r.NotApplicable)
			continue
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %.0f | %s |\n", r.Fault, r.Queue, r.Title, r.Length, r.Injected,
			r.Accepted, r.Processed, r.Dead, r.Lost, r.Phantom, r.Duplicate, r.Reordered, r.Misdelivered, r.Stuck, r.Corrupt, r.Seconds, met)
	}
	writeRestarts(&page, restarts)
	return page.String()
}
