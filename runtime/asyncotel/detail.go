package asyncotel

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	async "github.com/asyncpb/async/runtime"
)

// detail is what spans tell beyond, or short of, what the conventions recommend. The zero value is the default.
type detail struct {
	noCreate      bool
	noCall        bool
	attempts      bool
	queues        bool
	emptyReceives bool
	sizes         bool
	headers       []string
	attributes    []attribute.KeyValue
	keep          func(*async.Spec, attribute.KeyValue) bool
	observes      func(context.Context, *async.Spec) bool
	template      func(*async.Spec, string) string
}

// WithoutCreateSpans leaves out the spans of the creation of a batch's messages: the span of the batch's sending is the creation
// context of them all, and its kind is producer. By default each message of a batch has a span of its creation.
func WithoutCreateSpans() Option { return optionFunc(func(s *settings) { s.noCreate = true }) }

// WithoutRequestRPCSpan leaves out the span <service>/<rpc> around a request and its reply: the spans of both are children of
// the caller's span. The metric rpc.client.call.duration stays. By default the span is there.
func WithoutRequestRPCSpan() Option { return optionFunc(func(s *settings) { s.noCall = true }) }

// WithAttemptSpans adds a span "attempt" for each call of a handler of single messages, inside of the span of the handling; the
// handler's context is in it. One that fails has the error, also where a later one succeeds. By default there are none.
func WithAttemptSpans() Option { return optionFunc(func(s *settings) { s.attempts = true }) }

// WithQueueSpans adds a span "queue D" for the time between the hand-over of a message to the transport and its first handler, as a
// sibling of the handler's span: an aid for pictures. There is none where the handler begins a trace of its own, where the clocks
// of the two ends disagree, and of a pulled message. By default there are none.
func WithQueueSpans() Option { return optionFunc(func(s *settings) { s.queues = true }) }

// WithEmptyReceiveSpans adds a span for each pull that ends without a message, because its context or the runtime ended, and
// counts it in messaging.client.operation.duration. By default it leaves no trace.
func WithEmptyReceiveSpans() Option { return optionFunc(func(s *settings) { s.emptyReceives = true }) }

// WithMessageSize adds messaging.message.body.size and messaging.message.envelope.size, in bytes and as they are on the wire, to
// the spans of one message and to the links of batches. By default they are absent.
func WithMessageSize() Option { return optionFunc(func(s *settings) { s.sizes = true }) }

// WithHeaders adds the headers with these names to the spans of one message and to the links of batches, as async.header.<name>, a
// list of strings. Upper and lower case are the same. What senders write there is then in the traces. By default none is.
func WithHeaders(names ...string) Option {
	return optionFunc(func(s *settings) {
		for _, name := range names {
			s.headers = append(s.headers, strings.ToLower(name))
		}
	})
}

// WithAttributes adds attributes to every span and every metric: give few different ones in the life of a program. Where this
// package writes the key itself, its own value stands. By default there are none.
func WithAttributes(attributes ...attribute.KeyValue) Option {
	return optionFunc(func(s *settings) { s.attributes = append(s.attributes, attributes...) })
}

// WithAttributeFilter keeps those attributes of spans, links and metrics for which keep returns true. It is called from many
// goroutines at once, with attributes of which the conventions require some; async.link.untrusted, which samplers need, stays in any case.
// By default all are kept.
func WithAttributeFilter(keep func(spec *async.Spec, a attribute.KeyValue) bool) Option {
	return optionFunc(func(s *settings) { s.keep = keep })
}

// WithFilter makes spans and metrics only of what f returns true for; of the rest contexts are passed on. ctx is the caller's where
// a message is sent or pulled, that of Run where one is handled, and the handling's for what follows from it. It is called
// for every operation, from many goroutines at once. By default everything is observed.
func WithFilter(f func(ctx context.Context, spec *async.Spec) bool) Option {
	return optionFunc(func(s *settings) { s.observes = f })
}

// WithDestinationTemplate gives destinations whose names are many a name of which there are few: what f returns is
// messaging.destination.template, and stands in the names of spans, and in metrics, in the place of the destination's own
// name; spans keep that as an attribute. "" is no template. It is called once for each operation of an rpc, and now and then for a
// topic to which a Watermill middleware sends: metrics name such a topic by its template or not at all. By default there are no templates.
func WithDestinationTemplate(f func(spec *async.Spec, destination string) string) Option {
	return optionFunc(func(s *settings) { s.template = f })
}
