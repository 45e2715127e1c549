package asyncconnect_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// notes handles commands and events with one function.
type notes struct {
	callsv1connect.UnimplementedCallsHandler
	handle func(ctx context.Context, row string) error
}

func (n notes) Note(ctx context.Context, req *callsv1.NoteRequest) (*emptypb.Empty, error) {
	return new(emptypb.Empty), n.handle(ctx, req.GetRow())
}

func (n notes) Noted(ctx context.Context, event *callsv1.NotedEvent) (*emptypb.Empty, error) {
	return new(emptypb.Empty), n.handle(ctx, event.GetRow())
}

func serveNotes(t *testing.T, rt *async.Runtime, handle func(ctx context.Context, row string) error) {
	t.Helper()
	server := connect.NewServer()
	callsv1connect.RegisterCallsHandler(server, notes{handle: handle})
	if err := asyncconnect.Serve(rt, server); err != nil {
		t.Fatal(err)
	}
}

func TestTheCodeOfAHandlerDecidesWhatBecomesOfTheMessage(t *testing.T) {
	t.Parallel()
	const again, dead, handled, dropped = "tried again", "a dead letter at once", "handled", "dropped"
	soon := detail(&errdetails.RetryInfo{RetryDelay: durationpb.New(30 * time.Second)})
	tests := []struct {
		name  string
		err   error
		want  string
		after time.Duration // at least, until the second attempt
	}{
		{name: "no error", want: handled},
		{name: "canceled, and nothing drains", err: connect.NewError(connect.CodeCanceled, ""), want: again},
		{name: "unknown", err: connect.NewError(connect.CodeUnknown, ""), want: again},
		{name: "invalid argument", err: connect.NewError(connect.CodeInvalidArgument, ""), want: dead},
		{name: "deadline exceeded", err: connect.NewError(connect.CodeDeadlineExceeded, ""), want: again},
		{name: "not found", err: connect.NewError(connect.CodeNotFound, ""), want: dead},
		{name: "already exists", err: connect.NewError(connect.CodeAlreadyExists, ""), want: dead},
		{name: "permission denied", err: connect.NewError(connect.CodePermissionDenied, ""), want: dead},
		{name: "resource exhausted", err: connect.NewError(connect.CodeResourceExhausted, ""), want: again},
		{name: "failed precondition", err: connect.NewError(connect.CodeFailedPrecondition, ""), want: dead},
		{name: "aborted", err: connect.NewError(connect.CodeAborted, ""), want: again},
		{name: "out of range", err: connect.NewError(connect.CodeOutOfRange, ""), want: dead},
		{name: "unimplemented", err: connect.NewError(connect.CodeUnimplemented, ""), want: dead},
		{name: "internal", err: connect.NewError(connect.CodeInternal, ""), want: again},
		{name: "unavailable", err: connect.NewError(connect.CodeUnavailable, ""), want: again},
		{name: "data loss", err: connect.NewError(connect.CodeDataLoss, ""), want: dead},
		{name: "unauthenticated", err: connect.NewError(connect.CodeUnauthenticated, ""), want: dead},
		{name: "any other error", err: errors.New("no"), want: again},
		{name: "the verdict of another service is none of ours", err: connect.NewError(connect.CodeNotFound, "").WithRemote(), want: again},
		{name: "a retry with a delay of its own", err: connect.NewError(connect.CodeUnavailable, "").WithDetail(soon), want: again, after: 30 * time.Second},
		{name: "a delay does not bring back what is dead", err: connect.NewError(connect.CodeNotFound, "").WithDetail(soon), want: dead},
		{name: "a verdict of the runtime: reject", err: async.Reject(connect.NewError(connect.CodeUnavailable, "")), want: dead},
		{name: "a verdict of the runtime: retry after", err: async.RetryAfter(30*time.Second, connect.NewError(connect.CodeNotFound, "")), want: again, after: 30 * time.Second},
		{name: "a verdict of the runtime: drop", err: async.Drop("no use"), want: dropped},
	}
	for _, kind := range []string{"command", "event"} {
		for _, test := range tests {
			t.Run(kind+": "+test.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					rt := newPlace(t, memory).open(t, "version: 1\ndefaults: {retry: {jitter: 0}}\n")
					var attempts []time.Time
					serveNotes(t, rt, func(context.Context, string) error {
						attempts = append(attempts, time.Now())
						if len(attempts) > 1 {
							return nil
						}
						return test.err
					})
					stop := run(t, rt)
					client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt)))
					var err error
					if kind == "command" {
						_, err = client.Note(t.Context(), &callsv1.NoteRequest{Row: "x"})
					} else {
						_, err = client.Noted(t.Context(), &callsv1.NotedEvent{Row: "x", Shelf: callsv1.Shelf_SHELF_TOP})
					}
					if err != nil {
						t.Fatal(err)
					}
					<-time.After(time.Hour)
					stats := rt.Stats()
					stop()
					got := handled
					switch {
					case stats.DeadLettered > 0 && len(attempts) == 1:
						got = dead
					case stats.Dropped > 0:
						got = dropped
					case len(attempts) == 2:
						got = again
					}
					if got != test.want {
						t.Errorf("the message is %s after %d attempts, want %s; %+v", got, len(attempts), test.want, stats)
					}
					if len(attempts) == 2 && attempts[1].Sub(attempts[0]) < test.after {
						t.Errorf("it was tried again after %s, want at least %s", attempts[1].Sub(attempts[0]), test.after)
					}
				})
			})
		}
	}
}

func TestWhatADrainCancelsIsPutBackUncounted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{memory, rabbitMQ} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, name)
			p.keep(t)
			first := p.open(t, "version: 1\n", async.WithDrainTimeout(100*time.Millisecond))
			begun := make(chan struct{})
			serveNotes(t, first, func(ctx context.Context, _ string) error {
				close(begun)
				<-ctx.Done()
				return connect.NewError(connect.CodeCanceled, "interrupted").WithCause(ctx.Err())
			})
			stop := run(t, first)
			client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(first)))
			if _, err := client.Note(t.Context(), &callsv1.NoteRequest{Row: "x"}); err != nil {
				t.Fatal(err)
			}
			receive(t, begun)
			stop()

			second := p.open(t, "version: 1\n")
			attempts := make(chan int, 1)
			serveNotes(t, second, func(ctx context.Context, _ string) error {
				info, _ := async.InfoFrom(ctx)
				attempts <- info.Attempt
				return nil
			})
			run(t, second)
			if got := receive(t, attempts); got != 1 {
				t.Errorf("the message comes back as attempt %d, want 1", got)
			}
		})
	}
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// keep keeps a broker in memory alive while no runtime has it open.
func (p place) keep(t *testing.T) { p.open(t, "version: 1\n") }
