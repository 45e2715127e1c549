// Package command is the command line of async.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/asyncpb/async/internal/version"
)

// The exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is a command line that is wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// Run runs one command and returns the exit code. What was asked for goes to stdout; progress, hints and errors go to
// stderr. When ctx ends, the command finishes what it has in hand.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := &session{stdout: stdout, stderr: stderr}
	root := s.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if closing := s.close(); err == nil {
		err = closing
	}
	var wrong *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "async: %s\n", withoutPasswords(err))
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		fmt.Fprintf(stderr, "async: interrupted\n")
		return exitInterrupted
	default:
		fmt.Fprintf(stderr, "async: %s\n", withoutPasswords(err))
		return exitFailed
	}
}

// credentials are user and password of a URL that stands in a text.
var credentials = regexp.MustCompile(`://\S*@`)

// withoutPasswords is the text of err. What is wrong with a command line is quoted from it, and a URL may be in the wrong place.
func withoutPasswords(err error) string {
	return credentials.ReplaceAllString(err.Error(), "://[redacted]@")
}

func (s *session) root() *cobra.Command {
	root := parent("async", "Look after the dead letters and the groups of a message broker", `async looks into the queues of protoc-gen-async on a message broker.

Which broker: --url, or ASYNC_TRANSPORT, or the transport of --config.
Which queues: --topic and --group; or --descriptors, the contract itself, as "buf build -o descriptors.binpb" writes it. With the
descriptors payloads are shown as JSON, too.`)
	root.Version = buildVersion()
	root.SetVersionTemplate("async {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; %s --help lists the flags", err, c.CommandPath())
	})
	s.flags(root.PersistentFlags())
	root.AddCommand(s.dead(), s.group())
	return root
}

// parent is a command that only has commands.
func parent(name, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Long: long, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			hint := c.CommandPath() + " --help lists the commands"
			if known := c.SuggestionsFor(args[0]); len(known) > 0 {
				hint = "did you mean " + strings.Join(known, " or ") + "?"
			}
			return usage("%s has no command %q; %s", c.CommandPath(), args[0], hint)
		},
	}
}

// noArguments refuses words that are no flags.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument %q; %s --help shows how it is called", c.CommandPath(), args[0], c.CommandPath())
	}
	return nil
}

// buildVersion is the version that the go command installed, or the one of the source.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v" + version.Version
}
