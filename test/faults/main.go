// Faults certifies a set-up: it sends numbered messages through a broker, breaks what can be broken, and says what was
// lost, invented, repeated, reordered, misdelivered, stuck or corrupt. README.md beside this file says how it is used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `certifies that nothing is lost between a producer and its consumers.

  faults produce  sends numbered messages and writes down which were accepted
  faults consume  handles them and writes that down
  faults exhume   takes the dead letters and writes them down
  faults check    compares what all of them wrote
  faults run      does all of it on a broker of its own that it breaks
  faults soak     does it for long, with a fault at random every 30 seconds
  faults page     writes reliability.md of the results that are there

Each has --help.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"produce": produce, "consume": consume, "exhume": exhume, "check": compare, "run": runTrials, "soak": soak, "page": rewrite,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(stderr, usage)
		return errors.New("no such command; write produce, consume, exhume, check, run, soak or page")
	}
	return commands[args[0]](ctx, args[1:], stdout, stderr)
}
