package amqptransport

import (
	"context"
	"slices"
	"time"
)

// expire answers the sends whose time, or whose life, is over, and takes confirms that came while an older one is still missing.
func (sh *shard) expire(now time.Time) {
	var out answers
	sh.mu.Lock()
	over := func(s *send) error {
		if !s.deadline.IsZero() && now.After(s.deadline) {
			return context.DeadlineExceeded
		}
		if s.life.Err() != nil {
			return context.Cause(s.life)
		}
		return nil
	}
	for _, s := range slices.Clone(sh.outbox.items()) {
		cause := over(s)
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
		if cause := over(s); cause != nil {
			// Its place in the window stays taken until the broker answers or the channel ends.
			s.answered = true
			out.calls = append(out.calls, answer{s.done, sh.t.uncertainty(cause)})
		}
	}
	sh.restore(&out)
	sh.mu.Unlock()
	sh.deliver(&out)
}
