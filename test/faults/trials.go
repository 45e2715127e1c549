package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/asyncpb/async/test/faults/internal/trial"
)

const evidenceUsage = "the folder for logs, journals and goroutines of what failed; default none is written. With it both processes log all they can"

func runTrials(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.SetOutput(stderr)
	numbers := f.String("faults", "", "the faults to try, such as F1,F5; default all")
	queues := f.String("queues", "quorum,classic,memory", "the types of queue to try them at: those of RabbitMQ, and the memory transport")
	var length trial.Length
	f.BoolVar(&length.Full, "full", false, "let faults last as long as the documentation says")
	f.DurationVar(&length.AtMost, "at-most", 0, "with --full, let none last longer; the results say so")
	f.IntVar(&length.Times, "times", 0, "with --full, repeat none more often; the results say so")
	folder := f.String("out", "", "the folder for reliability.json and reliability.md; default none is written; other results in them stay")
	evidence := f.String("evidence", "", evidenceUsage)
	if err := f.Parse(args); err != nil {
		return err
	}
	faults, err := trial.Choose(*numbers)
	if err != nil {
		return err
	}
	lab, err := trial.NewLab(ctx, length, *evidence)
	if err != nil {
		return err
	}
	defer func() {
		if lab != nil {
			err = errors.Join(err, lab.Close())
		}
	}()
	var broken []string
	for _, fault := range faults {
		for queue := range strings.SplitSeq(*queues, ",") {
			r, err := lab.Try(ctx, fault, queue)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				// The next fault gets a lab that this one has not touched.
				r = lab.Failed(fault, queue, err)
				closeErr := lab.Close()
				if lab, err = trial.NewLab(ctx, length, *evidence); err != nil {
					return errors.Join(err, closeErr)
				}
			}
			fmt.Fprintln(stdout, r)
			if len(r.Broken) > 0 {
				broken = append(broken, r.Fault+" "+r.Queue)
			}
			if *folder == "" {
				continue
			}
			// At once, so that a fault that cannot be tried takes nothing from those before it.
			if err := publish(*folder, []*trial.Result{r}); err != nil {
				return err
			}
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("the promise is broken: %s", strings.Join(broken, ", "))
	}
	return nil
}

func soak(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(stderr)
	length := f.Duration("duration", time.Hour, "how long")
	queue := f.String("queue", "quorum", "quorum or classic")
	rate := f.Int("rate", 300, "how many messages are sent a second")
	folder := f.String("out", "", "the folder for reliability.json and reliability.md; default none is written")
	evidence := f.String("evidence", "", evidenceUsage)
	if err := f.Parse(args); err != nil {
		return err
	}
	lab, err := trial.NewLab(ctx, trial.Length{}, *evidence)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	seed := rand.Uint64()
	fmt.Fprintf(stdout, "soak for %s at %s queues, seed %d\n", *length, *queue, seed)
	r, err := lab.Try(ctx, trial.Soak(*length, *rate, seed), *queue)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, r)
	if *folder != "" {
		if err := publish(*folder, []*trial.Result{r}); err != nil {
			return err
		}
	}
	if len(r.Broken) > 0 {
		return errors.New("the promise is broken")
	}
	return nil
}
