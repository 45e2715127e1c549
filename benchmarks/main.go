// Command benchmarks measures protoc-gen-async beside its peers: amqp091-go alone, watermill-amqp with Watermill's
// Router, Watermill's gochannel, and a plain Go channel. From the root of the repository:
//
//	make bench            # all rows, and the pages in docs
//	make bench SHORT=1    # a first look in two minutes, into .tmp/bench
//
// It needs a RabbitMQ, at ASYNC_TEST_AMQP_URL or 127.0.0.1:5672, and a machine that does nothing else meanwhile. It exits
// with 1 when a run is void, or a row has an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"

	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/otelsdk"
	"github.com/asyncpb/async/benchmarks/internal/plan"
	"github.com/asyncpb/async/benchmarks/internal/report"
	"github.com/asyncpb/async/benchmarks/internal/rounds"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// extraRounds is how many rounds a contest gets at most that has no target, or runs for long.
const extraRounds = 3

// flags are what the command line says.
type flags struct {
	url, out, only, profiles string
	short                    bool
	settings                 rounds.Settings
}

func parse(args []string, out io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&f.url, "url", "amqp://guest:guest@127.0.0.1:5672/", "URL of RabbitMQ; ASYNC_TEST_AMQP_URL is used when it is set")
	set.StringVar(&f.out, "out", "", "folder for benchmarks.json, .md and .svg; none writes nothing")
	set.StringVar(&f.only, "only", "", "regular expression: only rows whose id and name match, as in 'T1 ' or 'quorum'")
	set.BoolVar(&f.short, "short", false, "fewer and shorter rounds, and only of rows that have a target")
	set.StringVar(&f.profiles, "profiles", "", "folder for a CPU profile of ours in each contest, from a run of its own; made if need be")
	set.IntVar(&f.settings.Rounds, "rounds", 0, "rounds of each contest, 5 or, in the short form, 3")
	set.DurationVar(&f.settings.Time, "time", 0, "time of a run, 500ms or, in the short form, 150ms")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if url := os.Getenv("ASYNC_TEST_AMQP_URL"); url != "" {
		f.url = url
	}
	count, length := 5, 500*time.Millisecond
	if f.short {
		count, length = 3, 150*time.Millisecond
	}
	if f.settings.Rounds == 0 {
		f.settings.Rounds = count
	}
	if f.settings.Time == 0 {
		f.settings.Time = length
	}
	return f, nil
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	only, err := regexp.Compile(f.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if err := f.sparesWholeRuns(); err != nil {
		return err
	}
	b, err := broker.Open(f.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close(), otelsdk.Shutdown(context.WithoutCancel(ctx))) }()
	r := &report.Report{
		Form: "full", Began: time.Now(), Rounds: f.settings.Rounds, Time: f.settings.Time.String(), Only: f.only, Machine: report.NewMachine(b.Version()),
	}
	if f.short {
		r.Form = "short"
	}
	if err := play(ctx, f, only, plan.All(b), r, out); err != nil {
		return err
	}
	r.Seconds = time.Since(r.Began).Seconds()
	if f.out != "" {
		if err := r.Write(f.out); err != nil {
			return err
		}
	}
	targets, met := r.Count()
	fmt.Fprintf(out, "%d of %d targets met in %.0f s\n", met, targets, r.Seconds)
	if r.Void {
		return fmt.Errorf("the run is void: %v", r.VoidBecause)
	}
	return r.Err()
}

// sparesWholeRuns refuses to replace the report of a whole run with one of some rows.
func (f flags) sparesWholeRuns() error {
	if f.only == "" || f.out == "" {
		return nil
	}
	path := filepath.Join(f.out, report.DataName)
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("-only %s would replace the whole run in %s by some rows; leave -only out, or name another folder with -out", f.only, path)
	}
	return nil
}

// play runs the contests of a plan and adds their rows to the report.
func play(ctx context.Context, f flags, only *regexp.Regexp, parts []plan.Part, r *report.Report, out io.Writer) error {
	var sanity []*report.Row
	number := 0
	for _, part := range parts {
		for _, contest := range part.Contests {
			if f.short && contest.Extra || !wanted(contest, only) {
				continue
			}
			settings := f.settings
			if contest.Extra {
				settings.Rounds = min(settings.Rounds, extraRounds)
			}
			if contest.Once {
				settings.Rounds = 1
			}
			if contest.Factor > 0 {
				settings.Time = time.Duration(contest.Factor * float64(settings.Time))
			}
			outcome := rounds.Play(ctx, contest.Contest, settings)
			if err := ctx.Err(); err != nil {
				return err
			}
			rows := report.Rows(part.Title, outcome)
			for _, row := range rows {
				fmt.Fprintln(out, row.Line())
			}
			r.Rows = append(r.Rows, rows...)
			if contest.Sanity {
				sanity = append(sanity, rows...)
			}
			if f.profiles != "" && outcome.Err == nil {
				number++
				path := fmt.Sprintf("%s/%02d-%s.pprof", f.profiles, number, contest.Readings[0].ID)
				if err := rounds.Profile(ctx, contest.Contest, settings, path); err != nil {
					return err
				}
				fmt.Fprintln(out, "      profile:", path)
			}
		}
	}
	r.Judge(sanity)
	return nil
}

// wanted reports whether a reading of the contest matches.
func wanted(c plan.Contest, only *regexp.Regexp) bool {
	for _, reading := range c.Readings {
		if only.MatchString(reading.ID + " " + reading.Name) {
			return true
		}
	}
	return false
}
