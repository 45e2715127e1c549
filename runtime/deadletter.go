package async

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// deadLetter stores the message, with its bytes and headers as they came, in the group's dead-letter queue and takes it off
// its own. Where dead letters are disabled, or a broadcast group has none, it is dropped, counted and logged.
func (x *delivery) deadLetter(reason string, cause error) {
	b := x.feed.b
	text := sanitize(cause.Error())
	if b.route.settings.deadDisabled || b.sub.DeadTopic == "" {
		b.rt.counters.dropped.Add(1)
		b.rt.log.ErrorContext(x.logContext(), "a message failed for good and was dropped: its group has no dead letters", x.logArgs("reason", reason, "error", text)...)
		x.became(FateReject)
		x.settle(transport.Ack)
		return
	}
	msg := x.copy()
	md := msg.Metadata
	md[transport.MetaAttempt] = strconv.Itoa(x.attempt)
	md[transport.MetaDeadReason] = reason
	md[transport.MetaDeadError] = text
	md[transport.MetaDeadTopic] = b.sub.Topic
	md[transport.MetaDeadGroup] = b.sub.Group
	md[transport.MetaDeadAt] = transport.FormatInstant(time.Now())
	delete(md, transport.MetaDeadPending)
	p := x.publication()
	p.Topic, p.Direct, p.Expires = b.sub.DeadTopic, true, time.Time{}
	crowded := x.feed.crowded()
	if crowded {
		p.Deadline = time.Now().Add(min(crowdedTimeout, b.route.settings.sendTimeout))
	}
	x.became(FateDeadLetter)
	x.resend(PurposeDeadLetter, p, msg, func(err error) {
		if err != nil {
			b.rt.counters.deadLetterFailures.Add(1)
			b.rt.log.ErrorContext(x.logContext(), "a dead letter could not be stored: it is stored again later", x.logArgs("reason", reason, "dead_error", text, "error", err)...)
			again := func() {
				if errors.Is(err, transport.ErrUnroutable) {
					b.declareAgain(x.life)
				}
				x.deadLetter(reason, cause)
			}
			if crowded && x.canPutAside() {
				x.putAside(msg.Metadata, again)
				return
			}
			x.holdOn(again)
			return
		}
		b.rt.counters.deadLettered.Add(1)
		if b.rt.log.Enabled(x.feed.ctx, slog.LevelWarn) {
			b.rt.log.WarnContext(x.logContext(), "a message failed for good and is a dead letter", x.logArgs("queue", b.sub.DeadTopic, "reason", reason, "error", text)...)
		}
		x.settle(transport.Ack)
	})
}

// declareAgain makes the queue of dead letters, which somebody has deleted, at most once in a pause. What goes wrong shows when
// the next dead letter is stored, or is not.
func (b *binding) declareAgain(ctx context.Context) {
	l := b.route.link
	if l.declarer == nil || l.declare != "" && l.declare != transport.DeclareCreate {
		return
	}
	b.declaring.Lock()
	defer b.declaring.Unlock()
	if time.Since(b.declared) < slowPause {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, b.route.settings.sendTimeout)
	defer cancel()
	if err := l.declarer.Declare(ctx, b.sub); err != nil {
		b.rt.log.WarnContext(ctx, "the queue of dead letters is gone and could not be declared", "queue", b.sub.DeadTopic, "error", err)
	}
	b.declared = time.Now()
}

const (
	// asidePause is the least time that a dead letter spends aside; it is there for up to twice as long.
	asidePause = 30 * time.Second
	// crowdedTimeout is how long the broker has to store a dead letter whose place others need.
	crowdedTimeout = 5 * time.Second
)

// crowded reports whether messages that the broker did not take hold half of the places of the feed: more of them would leave
// none for good messages.
func (f *feed) crowded() bool { return 2*int(f.held.Load()) >= f.b.sub.InFlight() }

func (x *delivery) canPutAside() bool {
	caps := x.feed.b.route.link.caps
	return caps.Target != transport.None && caps.Delay != transport.None
}

// putAside sends what is to be a dead letter the way of a retry, marked so that no handler sees it again, and gives its place to
// another message. Where that fails too, it calls again later.
func (x *delivery) putAside(dead message.Metadata, again func()) {
	b := x.feed.b
	msg := x.copy()
	maps.Copy(msg.Metadata, dead)
	msg.Metadata[transport.MetaDeadPending] = "1"
	p := x.publication()
	p.Group, p.Delay, p.Expires = b.sub.Group, asidePause+rand.N(asidePause), time.Time{}
	x.resend(PurposeAside, p, msg, func(err error) {
		if err != nil {
			b.rt.log.ErrorContext(x.logContext(), "a dead letter could not be put aside: it is stored again later", x.logArgs("error", err)...)
			x.holdOn(again)
			return
		}
		x.settle(transport.Ack)
	})
}

// pending makes a dead letter of a message that comes from aside. It goes before everything else: such a message neither
// expires nor has attempts left.
func (x *delivery) pending() bool {
	md := x.msg.Metadata
	if md[transport.MetaDeadPending] == "" {
		return false
	}
	x.deadLetter(md[transport.MetaDeadReason], errors.New(md[transport.MetaDeadError]))
	return true
}

// bury is pending on a router that a user mounts handlers on: it returns when the dead letter is stored, and no sooner than
// after a pause if it is not, since the router's broker hands the message out again at once.
func (b *binding) bury(msg *message.Message) error {
	if b.route.settings.deadDisabled || b.sub.DeadTopic == "" {
		b.rt.counters.dropped.Add(1)
		return nil
	}
	dead := msg.Copy()
	delete(dead.Metadata, transport.MetaDeadPending)
	p := transport.Publication{
		Topic: b.sub.DeadTopic, Direct: true, RoutingKey: dead.Metadata[transport.MetaType], Key: dead.Metadata[transport.MetaKey],
		Mandatory: b.route.link.caps.Mandatory != transport.None, Deadline: time.Now().Add(b.route.settings.sendTimeout),
	}
	stored := make(chan error, 1)
	done := func(err error) { stored <- err }
	if b.observer.Resend != nil {
		done = b.observer.resending(&Resending{Purpose: PurposeDeadLetter, Publication: p, Message: dead, Cause: msg}, done)
	}
	b.rt.sendInternal(b.route.link, p, dead, done)
	err := <-stored
	if err == nil {
		b.rt.counters.deadLettered.Add(1)
		return nil
	}
	b.rt.counters.deadLetterFailures.Add(1)
	select {
	case <-time.After(slowPause):
	case <-msg.Context().Done():
	}
	return fmt.Errorf("a dead letter could not be stored: %w", err)
}
