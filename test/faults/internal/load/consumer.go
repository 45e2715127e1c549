package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

// Consumer handles messages until its context ends.
type Consumer struct {
	// Stream is the kind of load.
	Stream Stream
	// Handling is how long a handler works; default 0.
	Handling time.Duration
	// Poison makes the handler fail for every message that [IsPoison]; default 0 is none.
	Poison int
	// Harm is what the handler does for poison: "error" (the default) or "panic".
	Harm string
	// Journal is where the consumer writes to.
	Journal *journal.Writer
}

// IsPoison says whether the message with an id is one of those of which there is one in every.
func IsPoison(every int, id string) bool {
	_, seq := check.Split(id)
	return every > 0 && seq%every == 0
}

// Consume handles messages until ctx ends and the runtime has drained.
func (c Consumer) Consume(ctx context.Context, rt *async.Runtime) error {
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
	return errors.Join(err, <-told)
}

func (c Consumer) handle(ctx context.Context, rpc, content string) error {
	info, ok := async.InfoFrom(ctx)
	if !ok {
		return errors.New("a handler without information about its message")
	}
	e := journal.Entry{ID: info.ID, RPC: rpc, Sum: sum(content), Attempt: info.Attempt, Kind: journal.Began}
	if err := c.Journal.Write(e); err != nil {
		return err
	}
	if IsPoison(c.Poison, info.ID) {
		if c.Harm == "panic" {
			panic("poison " + strconv.Quote(info.ID))
		}
		return fmt.Errorf("poison %q", info.ID)
	}
	if err := Pass(ctx, c.Handling); err != nil {
		e.Kind = journal.Aborted
		return errors.Join(err, c.Journal.Write(e))
	}
	e.Kind = journal.Handled
	return c.Journal.Write(e)
}
