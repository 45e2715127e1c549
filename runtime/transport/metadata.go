package transport

// The metadata of a message: the names of docs/wire.md. A driver whose broker has a place of its own for one of
// them maps it there and back; the others travel as they are.
const (
	// CloudEvents 1.0, binary mode.
	MetaID          = "ce-id"
	MetaSource      = "ce-source"
	MetaType        = "ce-type"
	MetaSpecVersion = "ce-specversion"
	MetaTime        = "ce-time"
	MetaSubject     = "ce-subject"
	MetaContentType = "ce-datacontenttype"
	// MetaEncoding says how the payload is compressed; absent means that it is not.
	MetaEncoding = "async-content-encoding"
	MetaKey      = "ce-partitionkey"

	// W3C trace context.
	MetaTraceparent = "traceparent"
	MetaTracestate  = "tracestate"
	MetaBaggage     = "baggage"

	// MetaHops counts the handlers that a message's trace has come through before it was sent, decimal.
	MetaHops = "async-hops"
	// MetaTraceMode is the sender's wish for the trace of the handler: "continue" or "link".
	MetaTraceMode = "async-trace-mode"
	// MetaFailedTraceparent is, on a dead letter, the trace context of the handler that failed.
	MetaFailedTraceparent = "async-failed-traceparent"

	// Times are read by [ParseInstant] and written by [FormatInstant]. Attempt counts handler calls, from 1; without it this is the first.
	MetaCreatedAt = "async-created-at"
	MetaSentAt    = "async-sent-at"
	MetaAttempt   = "async-attempt"
	MetaDeadline  = "async-deadline"
	// MetaDueAt is when a delayed send is to arrive.
	MetaDueAt = "async-due-at"

	// Request and reply. On AMQP the address and the correlation id are native properties and no headers.
	MetaReplyTo       = "async-reply-to"
	MetaCorrelationID = "async-correlation-id"
	MetaStatus        = "async-status"

	// Where a delayed message goes when its time has come: "topic:<topic>" or "queue:<queue>". A driver that delays
	// by moving messages sets it.
	MetaDelayTarget = "async-delay-target"

	// Dead letters.
	MetaDeadReason  = "async-dead-reason"
	MetaDeadError   = "async-dead-error"
	MetaDeadTopic   = "async-dead-topic"
	MetaDeadGroup   = "async-dead-group"
	MetaDeadAt      = "async-dead-at"
	MetaDeadFirstAt = "async-dead-first-at"
	// MetaDeadPending marks a message in its group's own queue that failed for good, and that the queue of dead letters did
	// not take: no handler sees it, and it is stored as a dead letter when it comes again.
	MetaDeadPending = "async-dead-pending"

	// Prefixes: several values of one name as a JSON array; reply headers; reply trailers.
	PrefixMultiValue = "async-mv-"
	PrefixHeader     = "async-h-"
	PrefixTrailer    = "async-t-"
	PrefixAsync      = "async-"

	// MetaWatermillUUID is where watermill-amqp keeps the message's UUID.
	MetaWatermillUUID = "_watermill_message_uuid"
)
