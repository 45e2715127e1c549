package load

import (
	"fmt"
	"strings"
	"time"
)

// Mode is how a side sends.
type Mode string

// The modes of sending. Sync waits for the broker's confirm of each message, in each of [Load].Callers goroutines. Async
// is one caller who does not wait, in a window. Batch is one caller who sends [BatchSize] messages at once and waits for
// all. NoConfirm does not ask the broker at all. Request waits for an answer, in each of Callers goroutines: the message
// has arrived when its own answer is back.
const (
	Sync      Mode = "sync"
	Async     Mode = "async"
	Batch     Mode = "batch"
	NoConfirm Mode = "no confirm"
	Request   Mode = "request and reply"
)

// BatchSize is how many messages a batch has.
const BatchSize = 64

// Telemetry is how much OpenTelemetry takes part.
type Telemetry string

// The levels of telemetry: none is wired; it is wired and there is no SDK; the SDK samples one trace in a hundred; it does so for two
// spans that interceptors make, with nothing else; the SDK samples all and hands them to an exporter that drops them.
const (
	Off         Telemetry = ""
	NoSDK       Telemetry = "no SDK"
	SDKOnePart  Telemetry = "SDK 1 %"
	SDKBare     Telemetry = "SDK 1 %, two bare spans"
	SDKSampling Telemetry = "SDK on"
)

// Quorum and Classic are types of RabbitMQ's queues.
const (
	Quorum  = "quorum"
	Classic = "classic"
)

// Load is what a run does. A zero field does not take part.
type Load struct {
	// Queue is Quorum or Classic, or empty in process.
	Queue string
	// Bytes is the size of a message's payload as it travels.
	Bytes int
	// Mode and Callers say how messages are sent; Rate, when it is not zero, how many a second, whatever comes back.
	Mode    Mode
	Callers int
	Rate    int
	// Concurrency is how many messages are handled at once, and Prefetch how many the broker hands out ahead.
	Concurrency, Prefetch int
	// Work is how long a handler takes.
	Work time.Duration
	// Backlog is how many messages wait in the queue before they are handled, and Subscriptions how many handlers there
	// are, each of a topic of its own.
	Backlog, Subscriptions int
	// Telemetry is what is traced.
	Telemetry Telemetry
}

// String lists what takes part.
func (l Load) String() string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if l.Queue != "" {
		add("%s queue", l.Queue)
	}
	if l.Bytes > 0 {
		add("%d B", l.Bytes)
	}
	if l.Mode != "" {
		add("%s", l.Mode)
	}
	if l.Callers > 1 {
		add("%d callers", l.Callers)
	}
	if l.Mode == Batch {
		add("batches of %d", BatchSize)
	}
	if l.Rate > 0 {
		add("%d/s", l.Rate)
	}
	if l.Concurrency > 0 {
		add("concurrency %d", l.Concurrency)
	}
	if l.Prefetch > 0 {
		add("prefetch %d", l.Prefetch)
	}
	if l.Work > 0 {
		add("handler of %v", l.Work)
	}
	if l.Backlog > 0 {
		add("%d messages wait", l.Backlog)
	}
	if l.Subscriptions > 0 {
		add("%d subscriptions", l.Subscriptions)
	}
	if l.Telemetry != Off {
		add("OTel: %s", l.Telemetry)
	}
	return strings.Join(parts, ", ")
}
