package amqptransport

import (
	"context"
	"math/rand/v2"
	"time"
)

// pace is the range of the pauses between attempts to connect.
type pace struct {
	first, last time.Duration
	growth      float64
}

// backoff spaces attempts with full jitter: a pause is anything from zero to a ceiling that grows from first to last.
type backoff struct {
	pace
	ceiling time.Duration
}

func newBackoff(p pace) backoff { return backoff{pace: p, ceiling: p.first} }

func (b *backoff) reset() { b.ceiling = b.first }

// knocking is the longest pause while there is nobody to connect to.
const knocking = 2 * time.Second

// calm brings the ceiling down to that of knocking: an attempt that reached nobody, or only somebody who accepts in the
// broker's place, was no burden to the broker. What slows down those that do reach it is its refusals, not its absence.
func (b *backoff) calm() { b.ceiling = min(b.ceiling, knocking) }

// wait pauses and raises the ceiling. It reports whether the pause was completed before ctx ended.
func (b *backoff) wait(ctx context.Context) bool {
	pause := rand.N(b.ceiling + 1)
	b.ceiling = min(time.Duration(float64(b.ceiling)*b.growth), b.last)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
