// Package deadletter shows what failed for good.
package deadletter

import (
	"context"
	"errors"
	"fmt"

	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/runtime/transport"
)

// Report lists the dead letters in a queue of the broker at url and leaves them there. It opens the broker a second time: one
// that is private to its runtime, as gochannel, cannot be looked into, and Report says so.
func Report(ctx context.Context, url, queue string, out *console.Console) (err error) {
	config, err := transport.ParseURL(url)
	if err != nil {
		return err
	}
	config.Declare = transport.DeclareNone
	t, err := transport.Default.Open(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close(context.WithoutCancel(ctx))) }()
	browser, ok := t.(transport.Browser)
	if !ok {
		out.Note("%s shows its queues to nobody", t.Capabilities().System)
		return nil
	}
	letters, err := browser.Take(ctx, queue, 100)
	if errors.Is(err, transport.ErrUnroutable) {
		out.Note("%s: each %s is a broker of its own, and this one does not have the queue", queue, t.Capabilities().System)
		return nil
	}
	if err != nil {
		return err
	}
	out.Note("%s", queue)
	for _, letter := range letters {
		md := letter.Message().Metadata
		out.Line(console.Red, md[transport.MetaID], "†", md[transport.MetaDeadReason],
			fmt.Sprintf("%s, after attempt %s", md[transport.MetaDeadError], md[transport.MetaAttempt]))
		letter.Settle(transport.Requeue, nil)
	}
	return nil
}
