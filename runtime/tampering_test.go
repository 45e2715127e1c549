package async_test

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// tampered is a memory transport whose sends a test can refuse or hold up.
type tampered struct {
	*memorytransport.Transport
	// refuse returns the answer to a send in place of the broker's; nil lets it through.
	refuse func(p transport.Publication, msg *message.Message) error
	// answer, if set, passes the broker's answer on, whenever it likes.
	answer func(msg *message.Message, err error, done func(error))
}

func (t *tampered) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	report := done
	if t.answer != nil {
		report = func(err error) { t.answer(msg, err, done) }
	}
	if t.refuse != nil {
		if err := t.refuse(p, msg); err != nil {
			report(err)
			return nil
		}
	}
	return t.Transport.Send(ctx, p, msg, report)
}
