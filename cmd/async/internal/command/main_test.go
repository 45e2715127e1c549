package command_test

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"testing"

	"go.uber.org/goleak"

	"github.com/asyncpb/async/cmd/async/internal/command"
)

var update = flag.Bool("update", false, "write the golden files")

// asTool makes this binary the tool itself, for tests that interrupt or kill it.
const asTool = "ASYNC_TEST_AS_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}
