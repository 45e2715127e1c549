package amqptransport

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// expire answers the sends whose time is over, and takes confirms that came while an older one is still missing.
func (sh *shard) expire(now time.Time) {
	var out answers
	sh.mu.Lock()
	blocked := errors.Is(sh.t.publish.state(), transport.ErrBlocked)
	over := func(s *send) error {
		if !s.deadline.IsZero() && now.After(s.deadline) {
			return context.DeadlineExceeded
		}
		return nil
	}
	for _, s := range slices.Clone(sh.outbox.items()) {
		cause := over(s)
		if cause == nil && s.life.Err() != nil {
			cause = context.Cause(s.life)
		}
		if cause == nil {
			continue
		}
		sh.outbox.remove(s)
		err := sh.t.congestion(cause)
		if s.suspect {
			err = sh.t.uncertainty(cause)
		}
		sh.finish(&out, s, err)
	}
	for _, s := range slices.Clone(sh.inflight.items()) {
		if isDone(s.confirm) {
			sh.settle(&out, s)
		}
	}
	for _, s := range append(slices.Clone(sh.inflight.items()), sh.writing) {
		if s == nil || s.answered {
			continue
		}
		cause := over(s)
		if cause == nil && blocked && s.life.Err() != nil {
			cause = context.Cause(s.life)
		}
		if cause != nil {
			// Its place in the window stays taken until the broker answers or the channel ends.
			s.answered = true
			out.calls = append(out.calls, answer{s.done, sh.t.uncertainty(cause)})
		}
	}
	sh.mu.Unlock()
	sh.deliver(&out)
}
