package load

import (
	"context"
	"errors"
	"sync"
	"time"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

// Consumer handles messages until its context ends.
type Consumer struct {
	// Stream is the kind of load.
	Stream Stream
	// Handling is how long a handler works; default 0.
	Handling time.Duration
	// Poison is the messages that do harm to their handler; default none.
	Poison Poison
	// Harm is what they do; default [HarmError].
	Harm Harm
	// Journal is where the consumer writes to.
	Journal *journal.Writer

	hung sync.Map // ids that did [HarmHang]
}

// Consume handles messages until ctx ends and the runtime has drained.
func (c *Consumer) Consume(ctx context.Context, rt *async.Runtime) error {
	if err := c.Stream.register(rt, c.handle); err != nil {
		return err
	}
	ended := make(chan struct{})
	told := make(chan error, 1)
	go func() {
		select {
		case <-rt.Ready():
			told <- c.Journal.Write(journal.Entry{Kind: journal.Ready})
		case <-ended:
			told <- nil
		}
	}()
	err := rt.Run(ctx)
	close(ended)
	counts := rt.Stats()
	return errors.Join(err, <-told, c.Journal.Write(
		journal.Entry{Kind: journal.Interrupted, Attempt: int(counts.Interruptions)},
		journal.Entry{Kind: journal.Unburied, Attempt: int(counts.DeadLetterFailures)},
	))
}

func (c *Consumer) handle(ctx context.Context, rpc, content string) error {
	info, ok := async.InfoFrom(ctx)
	if !ok {
		return errors.New("a handler without information about its message")
	}
	e := journal.Entry{ID: info.ID, RPC: rpc, Sum: sum(content), Attempt: info.Attempt, Kind: journal.Began}
	if err := c.Journal.Write(e); err != nil {
		return err
	}
	err := Pass(ctx, c.Handling)
	if c.harms(info.ID) {
		err = c.suffer(ctx, info.ID)
		if c.Harm != HarmHang {
			return err
		}
	}
	if err != nil {
		e.Kind = journal.Aborted
		return errors.Join(err, c.Journal.Write(e))
	}
	e.Kind = journal.Handled
	return c.Journal.Write(e)
}

// harms says whether a message does harm to the handler that is called for it now.
func (c *Consumer) harms(id string) bool {
	if !c.Poison.Has(id) {
		return false
	}
	if c.Harm != HarmHang {
		return true
	}
	_, again := c.hung.LoadOrStore(id, true)
	return !again
}
