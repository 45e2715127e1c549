package async

import (
	"log/slog"
	"strconv"
	"time"

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
	p := x.publication()
	p.Topic, p.Direct, p.Expires = b.sub.DeadTopic, true, time.Time{}
	x.became(FateDeadLetter)
	x.resend(PurposeDeadLetter, p, msg, func(err error) {
		if err != nil {
			b.rt.log.ErrorContext(x.logContext(), "a dead letter could not be stored: it is stored again later", x.logArgs("reason", reason, "dead_error", text, "error", err)...)
			x.holdOn(func() { x.deadLetter(reason, cause) })
			return
		}
		b.rt.counters.deadLettered.Add(1)
		if b.rt.log.Enabled(x.feed.ctx, slog.LevelWarn) {
			b.rt.log.WarnContext(x.logContext(), "a message failed for good and is a dead letter", x.logArgs("queue", b.sub.DeadTopic, "reason", reason, "error", text)...)
		}
		x.settle(transport.Ack)
	})
}
