package contract

import (
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Kind is what an rpc is on the broker.
type Kind uint8

// The kinds of rpcs.
const (
	Event Kind = iota + 1
	Command
	Request
)

// String returns event, command or request.
func (k Kind) String() string {
	switch k {
	case Event:
		return "event"
	case Command:
		return "command"
	case Request:
		return "request"
	default:
		return "unknown"
	}
}

// Spec is the contract of one annotated rpc: plain data that nothing changes once it has been returned. What the
// annotations leave to configuration stays unset.
type Spec struct {
	// Descriptor is the rpc.
	Descriptor protoreflect.MethodDescriptor
	// Service is the full name of the service; Method is the name of the rpc.
	Service, Method string
	Kind            Kind
	// Topic is the logical topic, before the namespace. Aliases are old topics.
	Topic   string
	Aliases []string
	// Group handles commands and requests; it is empty for events. GroupAliases are old names of it.
	Group        string
	GroupAliases []string
	// Type is the CloudEvents type that is sent; TypeAliases are accepted as well.
	Type        string
	TypeAliases []string
	// Timeout bounds a request. Zero means that the annotation does not say.
	Timeout time.Duration
	// Policy is the policy of the rpc, merged over the one of its service.
	Policy Policy
	// Key and MessageID are the annotated fields of the input, or nil. Headers are in the order of their fields.
	Key, MessageID protoreflect.FieldDescriptor
	Headers        []Header
}

// Name returns "<Service>.<Method>" without the package, as refusals name an rpc.
func (s *Spec) Name() string {
	return string(s.Descriptor.Parent().Name()) + "." + s.Method
}

// Header is a field of the input that travels as a header.
type Header struct {
	Name  string
	Field protoreflect.FieldDescriptor
}

// Ordering says in which order a group handles messages.
type Ordering uint8

// The orderings. OrderingUnspecified means that the annotations do not say.
const (
	OrderingUnspecified Ordering = iota
	OrderingUnordered
	OrderingByKey
)

// TraceMode says how a handler's trace relates to the sender's.
type TraceMode uint8

// The trace modes. TraceUnspecified means that the annotations do not say.
const (
	TraceUnspecified TraceMode = iota
	TraceContinue
	TraceLink
	TraceUntrusted
)

// Policy is what the annotations say about retries, dead letters, life time, order and traces. Nil and zero values mean
// that they do not say.
type Policy struct {
	Retry      Retry
	DeadLetter DeadLetter
	TTL        *time.Duration
	Ordering   Ordering
	Trace      TraceMode
}

// Retry says how often and how soon a failed message is tried again.
type Retry struct {
	Immediate, MaxAttempts *uint32
	MinBackoff, MaxBackoff *time.Duration
	Multiplier, Jitter     *float64
}

// DeadLetter says what becomes of a message that failed for good.
type DeadLetter struct {
	Disabled *bool
	Topic    string
}
