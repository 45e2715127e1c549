// Package trial runs one load on one peer and proves that every message arrived.
package trial

import (
	"fmt"
	"time"

	"github.com/asyncpb/async/benchmarks/internal/load"
)

// Result is what a run measured.
type Result struct {
	load.Usage
	// Messages is how many messages Usage is about; Expected, Delivered and Distinct include those before and after them.
	Messages, Expected, Delivered, Distinct int
	// Left is how many messages were still in the queue when the session had closed. A few may be: what acknowledges them
	// can be lost on its way through the broker when its channel is closed.
	Left int
	// P50, P99 and P999 are latencies: from the intended time of a send to its handler, where the load has a rate; from a
	// request to its reply.
	P50, P99, P999 time.Duration
	// LiveHeap is the largest heap in use during the run, in bytes, where that was measured.
	LiveHeap uint64
}

// mostLost is how many acknowledgements RabbitMQ was seen to lose between a channel that is closed and a quorum queue, with
// a margin.
const mostLost = 256

// Err says what is wrong with the arrival of the messages: each is expected once, and to be acknowledged.
func (r Result) Err() error {
	if r.Delivered != r.Expected || r.Distinct != r.Expected || r.Left > max(mostLost, r.Expected/10) {
		return fmt.Errorf("of %d messages %d were delivered, %d of them different ones, and %d were left in the queue", r.Expected, r.Delivered, r.Distinct, r.Left)
	}
	return nil
}

// Rate is messages a second.
func (r Result) Rate() float64 { return float64(r.Messages) / r.Elapsed.Seconds() }

// Nanoseconds is the time for a message.
func (r Result) Nanoseconds() float64 { return float64(r.Elapsed.Nanoseconds()) / float64(r.Messages) }

// CPUPerMessage is this process's CPU time for a message.
func (r Result) CPUPerMessage() time.Duration { return r.CPU / time.Duration(max(r.Messages, 1)) }

// AllocsPerMessage is the heap objects for a message, and BytesPerMessage their size.
func (r Result) AllocsPerMessage() float64 { return float64(r.Allocs) / float64(r.Messages) }

// BytesPerMessage is the heap bytes for a message.
func (r Result) BytesPerMessage() float64 { return float64(r.Bytes) / float64(r.Messages) }
