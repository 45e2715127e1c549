package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const restartsHead = `
## Calls while the broker restarts

What ` + "`make bars`" + ` found, on a node of the test's own: callers make requests one after the other through the
[Connect bridge](../runtime/asyncconnect/doc.go), and RabbitMQ goes and comes back when a quarter of them has begun. No call may
take longer than its limit; *late* ended more than 2 s after that. Times are in seconds.

| the broker is | limit | callers | calls | answered | ended with a code | late | another's reply | away | median | longest | all |
|---|---|---|---|---|---|---|---|---|---|---|---|
`

// restart is what the tests of the Connect bridge write into restarts.json.
type restart struct {
	Broker         string         `json:"broker"`
	Callers        int            `json:"callers"`
	Calls          int            `json:"calls"`
	LimitSeconds   float64        `json:"limit_seconds"`
	Answered       int            `json:"answered"`
	Errors         map[string]int `json:"errors"`
	Late           int            `json:"late"`
	Misdelivered   int            `json:"misdelivered"`
	AwaySeconds    float64        `json:"away_seconds"`
	MedianSeconds  float64        `json:"median_seconds"`
	LongestSeconds float64        `json:"longest_seconds"`
	AllSeconds     float64        `json:"all_seconds"`
}

// readRestarts returns none if nothing was written.
func readRestarts(folder string) ([]restart, error) {
	path := filepath.Join(folder, "restarts.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []restart
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

func writeRestarts(page *strings.Builder, restarts []restart) {
	if len(restarts) == 0 {
		return
	}
	page.WriteString(restartsHead)
	for _, r := range restarts {
		codes := "0"
		if len(r.Errors) > 0 {
			var each []string
			for _, code := range slices.Sorted(maps.Keys(r.Errors)) {
				each = append(each, fmt.Sprintf("%d %s", r.Errors[code], code))
			}
			codes = strings.Join(each, ", ")
		}
		fmt.Fprintf(page, "| %s | %.0f | %d | %d | %d | %s | %d | %d | %.1f | %.4f | %.1f | %.1f |\n", r.Broker, r.LimitSeconds, r.Callers, r.Calls, r.Answered, codes,
			r.Late, r.Misdelivered, r.AwaySeconds, r.MedianSeconds, r.LongestSeconds, r.AllSeconds)
	}
}

// rewrite writes the page of what is in the folder already.
func rewrite(_ context.Context, args []string, _, stderr io.Writer) error {
	f := flag.NewFlagSet("page", flag.ContinueOnError)
	f.SetOutput(stderr)
	folder := f.String("out", "docs", "the folder of reliability.json and restarts.json, where reliability.md is written")
	if err := f.Parse(args); err != nil {
		return err
	}
	return publish(*folder, nil)
}
