package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
	"github.com/asyncpb/async/test/faults/internal/trial"
)

// paths is a flag that may be given several times.
type paths []string

func (p *paths) String() string { return strings.Join(*p, ",") }

func (p *paths) Set(path string) error {
	*p = append(*p, path)
	return nil
}

// compare judges the journals of processes on somebody else's broker.
func compare(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var producers, consumers paths
	var c check.Conditions
	var poison load.Poison
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Var(&producers, "producer", "the journal of a producer; may be repeated")
	f.Var(&consumers, "consumer", "the journal of a consumer, or of what was exhumed; may be repeated")
	f.BoolVar(&c.Ordered, "ordered", false, "hold the messages of each key to their order")
	injected := f.Int("faults", 0, "how often you broke something meanwhile; without that nothing is proven")
	healed := f.String("healed", "", "when the last fault was over, as 2026-01-31T15:04:05Z; default before the first message")
	f.IntVar(&poison.Every, "poison", 0, "what consumers were given: one message in so many must be a dead letter; 0 is none")
	f.IntVar(&poison.Most, "poison-most", 0, "what consumers were given; 0 is no bound")
	folder := f.String("out", "", "the folder for reliability.json and reliability.md; default none is written; other results in them stay")
	title := f.String("title", "faults of your own", "what the results call it")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *healed != "" {
		at, err := time.Parse(time.RFC3339, *healed)
		if err != nil {
			return fmt.Errorf("--healed: %q is no time; write it as 2026-01-31T15:04:05Z", *healed)
		}
		c.Healed = at
	}
	if poison.Every > 0 {
		c.Poison = poison.Has
	}
	sent, err1 := journal.Read(producers...)
	got, err2 := journal.Read(consumers...)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	r := trial.Compare(sent, got, c, *injected)
	r.Fault, r.Title, r.Queue = "own", *title, "own"
	fmt.Fprintln(stdout, r)
	if *folder != "" {
		if err := publish(*folder, []*trial.Result{r}); err != nil {
			return err
		}
	}
	if len(r.Broken) > 0 {
		return errors.New(strings.Join(r.Broken, "\n"))
	}
	return nil
}

// exhumed is how many dead letters are taken at once.
const exhumed = 1000

// exhume takes the dead letters of a stream and writes them down.
func exhume(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var where place
	f := flag.NewFlagSet("exhume", flag.ContinueOnError)
	f.SetOutput(stderr)
	where.flags(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	stream, j, rt, err := where.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close(), j.Close()) }()
	carrier := rt.Carrier(stream.Name(), "")
	browser, ok := carrier.Transport.(transport.Browser)
	if !ok {
		return errors.New("the transport cannot look into queues")
	}
	queue := carrier.DeadTopic
	if queue == "" {
		queue = transport.DeadName(carrier.Physical(stream.Topic()), stream.Group(where.app))
	}
	found := 0
	for {
		dead, err := browser.Take(ctx, queue, exhumed)
		if err != nil {
			return err
		}
		if len(dead) == 0 {
			fmt.Fprintf(stdout, "%d dead letters\n", found)
			return nil
		}
		entries := make([]journal.Entry, 0, len(dead))
		for _, d := range dead {
			entries = append(entries, trial.Buried(d.Message().UUID, d.Message().Metadata[transport.MetaAttempt]))
		}
		// On the disk before they are taken away.
		if err := errors.Join(j.Write(entries...), j.Sync()); err != nil {
			return err
		}
		settled := make(chan error, len(dead))
		for _, d := range dead {
			d.Settle(transport.Ack, func(err error) { settled <- err })
		}
		for range dead {
			if err := <-settled; err != nil {
				return err
			}
		}
		found += len(dead)
	}
}
