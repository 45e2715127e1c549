package async

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/runtime/transport"
)

// Kind is what an rpc is on the broker.
type Kind uint8

// The kinds of rpcs.
const (
	// KindEvent is fan-out: every group gets every message.
	KindEvent Kind = iota + 1
	// KindCommand is point to point: one group, named in the contract.
	KindCommand
	// KindRequest is a command with a reply.
	KindRequest
)

// String returns event, command or request.
func (k Kind) String() string {
	switch k {
	case KindEvent:
		return "event"
	case KindCommand:
		return "command"
	case KindRequest:
		return "request"
	default:
		return "unknown"
	}
}

func (k Kind) transport() transport.Kind { return transport.Kind(k) }

// Spec is the data of one annotated rpc. Generated code holds one as a package variable for each rpc and hands out
// pointers to it; nothing changes a Spec after that.
type Spec struct {
	// Service is the full name of the service; Method is the name of the rpc.
	Service, Method string
	// Kind is event, command or request.
	Kind Kind
	// Topic is the logical topic, before the namespace. Aliases are old topics that are consumed as well.
	Topic   string
	Aliases []string
	// Group handles commands and requests. Events have none: their groups are the applications.
	Group string
	// GroupAliases are old names of Group that are consumed as well.
	GroupAliases []string
	// Type is the CloudEvents type that is sent; TypeAliases are accepted as well.
	Type        string
	TypeAliases []string
	// Timeout bounds a request whose caller gives no earlier deadline. Zero means 30 s.
	Timeout time.Duration
	// Policy is what the annotations of the rpc and its service say.
	Policy Policy
	// Input returns a new, empty input message; Output a new output message (requests only).
	Input, Output func() proto.Message
	// Key returns the ordering key of an input; nil when no field is annotated as key.
	Key func(proto.Message) string
	// MessageID returns the message id of an input; nil when no field is annotated. Empty means a fresh one.
	MessageID func(proto.Message) string
	// Headers returns the headers that come from annotated fields of an input; nil when there are none. A header
	// with an empty value is not sent.
	Headers func(proto.Message) []Header
}

// Name returns "<service>/<method>", as configuration, errors and traces name an rpc.
func (s *Spec) Name() string { return s.Service + "/" + s.Method }

// Header is one user header.
type Header struct{ Name, Value string }

// Ordering says in which order a group handles messages.
type Ordering uint8

// The orderings.
const (
	// OrderingUnspecified means the next place that says something, in the end OrderingUnordered.
	OrderingUnspecified Ordering = iota
	// OrderingUnordered handles messages in any order, side by side.
	OrderingUnordered
	// OrderingByKey handles the messages of one key one at a time, in the order sent.
	OrderingByKey
)

// TraceMode says how a handler's trace relates to the sender's.
type TraceMode uint8

// The trace modes.
const (
	// TraceUnspecified means the next place that says something, in the end TraceContinue.
	TraceUnspecified TraceMode = iota
	// TraceContinue goes on with the sender's trace.
	TraceContinue
	// TraceLink starts a trace of its own with a link to the sender's.
	TraceLink
	// TraceUntrusted is TraceLink, and takes nothing else over from the sender.
	TraceUntrusted
)

// Policy is what the contract says about retries, dead letters, life time, order and traces. A nil pointer or a zero
// value means: not said here.
type Policy struct {
	Retry      Retry
	DeadLetter DeadLetter
	// TTL is how long a message is worth handling; nil or 0 is for ever.
	TTL      *time.Duration
	Ordering Ordering
	Trace    TraceMode
}

// Retry says how often and how soon a failed message is tried again. The delay before attempt n+1 is
// min_backoff x multiplier^(n-1), at most max_backoff, of which a random share of up to jitter is taken off.
type Retry struct {
	// Immediate is how many times a failed message is tried again at once, in process, before the first delay; it ends
	// after 5 s. Default 0.
	Immediate *uint32
	// MaxAttempts counts handler calls, immediate ones included; 1 is no retry. Default 8.
	MaxAttempts *uint32
	// MinBackoff is the delay after the first failure. Default 1 s. RabbitMQ rounds every delay up to whole seconds.
	MinBackoff *time.Duration
	// MaxBackoff bounds the delay. Default 5 min.
	MaxBackoff *time.Duration
	// Multiplier grows the delay; at least 1. Default 2.
	Multiplier *float64
	// Jitter is the random share, 0 to 1. Default 1, full jitter.
	Jitter *float64
}

// DeadLetter says what becomes of a message that failed for good.
type DeadLetter struct {
	// Disabled drops it, counted and logged, instead of keeping it. Default false.
	Disabled *bool
	// Topic is a logical topic to use in place of the group's own dead-letter queue.
	Topic string
}
