// Async is the operator's tool: it looks into the queues of dead letters, replays or drops what is there, and removes the
// queues that groups have left behind.
//
//	async dead ls       list dead letters
//	async dead show     the same with metadata and payload
//	async dead replay   send them back to the group that they failed in
//	async dead drop     delete them
//	async group ls      list groups with their queues
//	async group rm      delete the queues of a group that nobody needs any more
//
// docs/operations.md shows each of them at work, and --help lists its flags. The exit code is 0, 1 after an error, 2 when the
// command line is wrong, and 130 when the command was interrupted.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/asyncpb/async/cmd/async/internal/command"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the work in good order; a second one must find nobody in its way.
	context.AfterFunc(ctx, stop)
	return command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
