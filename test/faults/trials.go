package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/asyncpb/async/test/faults/internal/trial"
)

func runTrials(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.SetOutput(stderr)
	numbers := f.String("faults", "", "the faults to try, such as F1,F5; default all")
	queues := f.String("queues", "quorum,classic", "the types of queue to try them at")
	full := f.Bool("full", false, "let faults last as long as the documentation says")
	folder := f.String("out", "", "the folder for reliability.json and reliability.md; default none is written")
	if err := f.Parse(args); err != nil {
		return err
	}
	faults, err := trial.Choose(*numbers)
	if err != nil {
		return err
	}
	lab, err := trial.NewLab(ctx, *full)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	var results []*trial.Result
	var broken []string
	for _, fault := range faults {
		for queue := range strings.SplitSeq(*queues, ",") {
			r, err := lab.Try(ctx, fault, queue)
			if err != nil {
				return fmt.Errorf("%s at %s queues: %w", fault.Number, queue, err)
			}
			fmt.Fprintln(stdout, r)
			results = append(results, r)
			if len(r.Broken) > 0 {
				broken = append(broken, r.Fault+" "+r.Queue)
			}
		}
	}
	if *folder != "" {
		if err := publish(*folder, results); err != nil {
			return err
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("the promise is broken: %s", strings.Join(broken, ", "))
	}
	return nil
}

// publish writes results for programs and for people.
func publish(folder string, results []*trial.Result) error {
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	var page strings.Builder
	page.WriteString("# Reliability\n\nWhat `make faults-full` found. [test/faults](../test/faults/README.md) says what the columns mean and how to repeat it.\n\n" +
		"| fault | queue | what goes wrong | injected | accepted | processed | dead | lost | phantom | duplicate | reordered | misdelivered | stuck | corrupt | s | holds |\n" +
		"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		verdict := "yes"
		if len(r.Broken) > 0 {
			verdict = "no: " + strings.ReplaceAll(strings.Join(r.Broken, "; "), "|", "/")
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %.0f | %s |\n", r.Fault, r.Queue, r.Title, r.Injected,
			r.Accepted, r.Processed, r.Dead, r.Lost, r.Phantom, r.Duplicate, r.Reordered, r.Misdelivered, r.Stuck, r.Corrupt, r.Seconds, verdict)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "reliability.json"), append(data, '\n'), 0o644),
		os.WriteFile(filepath.Join(folder, "reliability.md"), []byte(page.String()), 0o644),
	)
}

func soak(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(stderr)
	length := f.Duration("duration", time.Hour, "how long")
	queue := f.String("queue", "quorum", "quorum or classic")
	if err := f.Parse(args); err != nil {
		return err
	}
	lab, err := trial.NewLab(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	seed := rand.Uint64()
	fmt.Fprintf(stdout, "soak for %s at %s queues, seed %d\n", *length, *queue, seed)
	r, err := lab.Try(ctx, trial.Soak(*length, seed), *queue)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, r)
	if len(r.Broken) > 0 {
		return errors.New("the promise is broken")
	}
	return nil
}
