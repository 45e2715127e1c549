package async

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// immediateBudget bounds the immediate tries of one message: what takes longer is a matter for a delay.
const immediateBudget = 5 * time.Second

// laneBudget bounds how long a message that is ordered by key is tried again: it waits in its lane, unacknowledged, and
// RabbitMQ takes back what is unacknowledged for 30 minutes.
const laneBudget = 20 * time.Minute

// retry arranges the next attempt, or the dead letter after the last. asked is the delay that the handler asked for, or nil. It
// returns true for an attempt at once.
func (x *delivery) retry(failure error, asked *time.Duration) (again bool) {
	b := x.feed.b
	policy := b.route.settings.retry
	if x.attempt >= policy.maxAttempts {
		x.deadLetter(reasonAttempts, failure)
		return false
	}
	if x.firstFailure.IsZero() {
		x.firstFailure = time.Now()
	}
	spent := time.Since(x.firstFailure)
	if b.sub.Ordered && spent >= laneBudget {
		x.deadLetter(reasonRetryTime, failure)
		return false
	}
	b.rt.counters.retried.Add(1)
	// The number of the attempt travels with the message, so immediate tries are not begun anew on every redelivery.
	if asked == nil && b.mode == modePush && x.attempt <= policy.immediate && spent < immediateBudget {
		x.attempt++
		return true
	}
	delay := policy.delay(x.attempt)
	if asked != nil {
		delay = *asked
	}
	if b.sub.Ordered {
		delay = min(delay, laneBudget-spent)
	}
	delay = min(delay, maxDelay)
	if b.rt.log.Enabled(x.feed.ctx, slog.LevelInfo) {
		b.rt.log.InfoContext(x.logContext(), "an attempt failed and is tried again", x.logArgs("max_attempts", policy.maxAttempts, "delay", delay, "error", sanitize(failure.Error()))...)
	}
	caps := b.route.link.caps
	switch {
	case b.sub.Ordered && b.mode == modePush:
		if !x.wait(delay) {
			x.feed.giveBack(x)
			return false
		}
		x.attempt++
		return true
	case b.sub.Ordered, caps.Target == transport.None:
		x.hold(delay, func() { x.feed.enqueue(x.next()) })
		x.decide(nil)
	case caps.Delay != transport.None:
		x.republish(failure, delay)
	default:
		x.hold(delay, func() { x.republish(failure, 0) })
		x.decide(nil)
	}
	return false
}

// next is the same delivery for another attempt in this process.
func (x *delivery) next() *delivery {
	x.became(FateRetry)
	if retried := x.feed.b.observer.Retried; retried != nil {
		retried()
	}
	return &delivery{feed: x.feed, d: x.d, msg: x.msg, life: x.life, attempt: x.attempt + 1, firstFailure: x.firstFailure}
}

// republish sends the message to the group's own queue for its next attempt and then, when the broker has it, acks this
// delivery. In between it may exist twice, never not at all. A message that is too large for another way through the broker, by
// what a stranger put into its headers, will be so the next time too: it is a dead letter, whose way is shorter.
func (x *delivery) republish(failure error, delay time.Duration) {
	b := x.feed.b
	msg := x.copy()
	msg.Metadata[transport.MetaAttempt] = strconv.Itoa(x.attempt + 1)
	p := x.publication()
	p.Group, p.Delay = b.sub.Group, delay
	x.became(FateRetry)
	x.resend(PurposeRetry, p, msg, func(err error) {
		if errors.Is(err, ErrTooLarge) {
			x.deadLetter(reasonTooLarge, fmt.Errorf("no retry can be stored (%w) after: %w", err, failure))
			return
		}
		if err != nil {
			b.rt.log.ErrorContext(x.logContext(), "a retry could not be stored: it is stored again later", x.logArgs("error", err)...)
			x.holdOn(func() { x.republish(failure, delay) })
			return
		}
		x.settle(transport.Ack)
	})
}

// copy is the message as it came, for a queue of the runtime's own.
func (x *delivery) copy() *message.Message {
	msg := &message.Message{UUID: x.msg.UUID, Payload: x.msg.Payload, Metadata: maps.Clone(x.msg.Metadata)}
	if msg.Metadata == nil {
		msg.Metadata = make(message.Metadata)
	}
	now := time.Now()
	msg.Metadata[transport.MetaSentAt] = transport.FormatInstant(now)
	if msg.Metadata[transport.MetaDeadFirstAt] == "" {
		first := x.firstFailure
		if first.IsZero() {
			first = now
		}
		msg.Metadata[transport.MetaDeadFirstAt] = transport.FormatInstant(first)
	}
	msg.SetContext(context.Background())
	return msg
}
