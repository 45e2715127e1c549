package letter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// sendTimeout bounds how long the broker may take to confirm a replayed message.
const sendTimeout = 30 * time.Second

// Why a letter is not replayed.
var (
	// ErrExpired means that the deadline of a letter has passed: its consumers would drop it unseen.
	ErrExpired = errors.New("its deadline has passed")
	// ErrHomeless means that nothing says where a letter failed.
	ErrHomeless = errors.New("nothing says which topic and group it failed in")
)

// CheckReplay says why a letter cannot be replayed, or nil: [ErrHomeless], or [ErrExpired] unless expired ones are wanted.
func CheckReplay(l *Letter, expired bool) error {
	switch {
	case l.Topic == "", l.Group == "" && !l.parked():
		return ErrHomeless
	case !expired && l.Expired(time.Now()):
		return ErrExpired
	default:
		return nil
	}
}

// Replay sends the message to the queue of the group that it failed in (a parked one to where it was going), and returns when the broker has stored it there. The
// end of ctx does not interrupt it: a send that was cut off could neither be counted nor taken back.
func Replay(ctx context.Context, t transport.Transport, l *Letter) error {
	now := time.Now()
	msg := l.revived(now)
	ctx = context.WithoutCancel(ctx)
	msg.SetContext(ctx)
	p := transport.Publication{
		Topic: l.Topic, Group: l.Group, RoutingKey: l.Type, Key: l.Key,
		Mandatory: true, Deadline: now.Add(sendTimeout),
	}
	if !l.Expired(now) {
		p.Expires = l.Deadline
	}
	stored := make(chan error, 1)
	err := transport.SenderOf(t).Send(ctx, p, msg, func(err error) { stored <- err })
	if err == nil {
		err = <-stored
	}
	switch {
	case errors.Is(err, transport.ErrUnroutable) && l.Group == "":
		return fmt.Errorf("replay %s: no group of %s takes it; start a consumer, which declares the queue of its group, and replay again (%w)", l.ID, l.Topic, err)
	case errors.Is(err, transport.ErrUnroutable):
		return fmt.Errorf("replay %s: the queue %s does not exist; start a consumer of the group, which declares it, and replay again (%w)",
			l.ID, transport.QueueName(l.Topic, l.Group), err)
	case errors.Is(err, transport.ErrUnknown):
		return fmt.Errorf("replay %s: it is still a dead letter, and may be with its group too; replay again when the broker is back (%w)", l.ID, err)
	case err != nil:
		return fmt.Errorf("replay %s: %w; it is still a dead letter", l.ID, err)
	default:
		return nil
	}
}
