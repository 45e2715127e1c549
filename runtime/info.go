package async

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// Info is what is known of a received message beside its content.
type Info struct {
	// RPC is "<service>/<method>".
	RPC string
	// ID is the message id, the same on every redelivery, retry and replay.
	ID string
	// Topic is the physical topic that the subscription consumes; Group is its group.
	Topic, Group string
	// Type is the CloudEvents type; Source is who sent the message.
	Type, Source string
	// Key is the ordering key, or "".
	Key string
	// Attempt counts the handler calls for this message in this group, from 1. MaxAttempts is where it ends.
	Attempt, MaxAttempts int
	// CreatedAt is when the sender made the message; SentAt when it was last handed to the broker. Zero if unknown.
	CreatedAt, SentAt time.Time
	// Deadline is when the message loses its value; zero is never.
	Deadline time.Time
	// Headers are the user's headers. The receiver owns them.
	Headers Headers
	// Trailers are a reply's trailers.
	Trailers Headers
}

type infoKey struct{}

// InfoFrom returns what is known of the message that is being handled, and false outside a handler. The Info is shared:
// do not change it.
func InfoFrom(ctx context.Context) (*Info, bool) {
	info, _ := ctx.Value(infoKey{}).(*Info)
	return info, info != nil
}

// readAttempt returns the number of this attempt, from 1.
func readAttempt(md message.Metadata) int {
	text := md[transport.MetaAttempt]
	if text == "" {
		return 1
	}
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange) && n > 0:
		return math.MaxInt32 // beyond every last attempt
	case err != nil || n < 1:
		return 1
	}
	return int(n)
}

// readInfo goes through the metadata once: each message is read by it, and to look for each name would take twice as long.
func readInfo(msg *message.Message) *Info {
	info := &Info{Attempt: readAttempt(msg.Metadata)}
	for name, value := range msg.Metadata {
		switch name {
		case transport.MetaID:
			info.ID = value
		case transport.MetaType:
			info.Type = value
		case transport.MetaSource:
			info.Source = value
		case transport.MetaKey:
			info.Key = value
		case transport.MetaCreatedAt:
			info.CreatedAt = transport.ParseInstant(value)
		case transport.MetaSentAt:
			info.SentAt = transport.ParseInstant(value)
		case transport.MetaDeadline:
			info.Deadline = transport.ParseInstant(value)
		default:
			info.Headers = info.Headers.read(name, value, "")
		}
	}
	if info.ID == "" {
		info.ID = msg.UUID
	}
	return info
}
