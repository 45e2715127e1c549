package otelcheck

import (
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/transport"
)

const module = "github.com/asyncpb/async"

var structure = []Rule{
	{"R1", "the scope is the module, with its version and the schema", checkScope},
	{"R2", "the kind of a span follows from its operation", checkKind},
	{"R3", "a span is named by operation and destination, and by nothing that is different every time", checkName},
	{"R4", "required attributes are there and of the right type", checkRequired},
	{"R5", "what samplers need is there at the start", checkGiven},
	{"R6", "no deprecated key is used", checkDeprecated},
	{"R7", "batch.message_count is on batches only, and as many as there are links", checkBatchCount},
	{"R8", "what differs within a batch is on its links", checkPerMessage},
	{"R9", "what has to be asked for is absent", checkOptIn},
	{"R10", "a failure has a status and a type, the same on span and metric; a success has neither", checkStatus},
	{"R11", "exceptions are log records and no span events", checkExceptions},
}

func checkScope(c *Capture) (r []string) {
	for _, s := range c.messaging() {
		if s.Scope.Name != module || s.Scope.Version == "" || s.Scope.SchemaURL != semconv.SchemaURL {
			(*report)(&r).add("span %q has the scope %+v", s.Name, s.Scope)
		}
	}
	for _, m := range c.Metrics {
		if m.Scope.Name != module || m.Scope.Version == "" || m.Scope.SchemaURL != semconv.SchemaURL {
			(*report)(&r).add("metrics have the scope %+v", m.Scope)
		}
	}
	return r
}

// onWire reports whether a message was sent whose creation context is sc.
func (c *Capture) onWire(sc trace.SpanContext) bool {
	return slices.ContainsFunc(c.Sent, func(w Wire) bool { return same(creation(w.Metadata), sc) })
}

func checkKind(c *Capture) (r []string) {
	for _, s := range c.messaging() {
		want := trace.SpanKindClient
		switch s.Type() {
		case "create":
			want = trace.SpanKindProducer
		case "process":
			want = trace.SpanKindConsumer
		case "send":
			// What was refused before it had a wire form was to be a creation.
			if c.onWire(s.Context) || s.Status == codes.Error && len(s.Links) == 0 {
				want = trace.SpanKindProducer
			}
		}
		if s.Kind != want {
			(*report)(&r).add("span %q is of kind %s, want %s", s.Name, s.Kind, want)
		}
	}
	return r
}

var generated = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}|amq\.gen|_INBOX|async\.reply`)

func checkName(c *Capture) (r []string) {
	for _, s := range c.messaging() {
		want := s.Attributes.Text(semconv.MessagingOperationNameKey)
		named := s.Attributes.Text(semconv.MessagingDestinationTemplateKey)
		if named == "" {
			named = s.Attributes.Text(semconv.MessagingDestinationNameKey)
		}
		if _, temporary := s.Attributes[semconv.MessagingDestinationTemporaryKey]; !temporary && named != "" {
			want += " " + named
		}
		if s.Name != want {
			(*report)(&r).add("span %q, want the name %q", s.Name, want)
		}
		if generated.MatchString(s.Name) {
			(*report)(&r).add("the name of span %q is different every time", s.Name)
		}
	}
	return r
}

var operationTypes = []string{"create", "send", "receive", "process", "settle"}

func checkRequired(c *Capture) (r []string) {
	for _, s := range c.messaging() {
		for _, key := range []attribute.Key{semconv.MessagingSystemKey, semconv.MessagingOperationNameKey, semconv.MessagingOperationTypeKey} {
			if v, ok := s.Attributes[key]; !ok || v.Type() != attribute.STRING || v.AsString() == "" {
				(*report)(&r).add("span %q: %s is missing, or no string", s.Name, key)
			}
		}
		if s.Attributes.Text(semconv.MessagingSystemKey) != c.System {
			(*report)(&r).add("span %q: messaging.system is not %s", s.Name, c.System)
		}
		if !slices.Contains(operationTypes, s.Type()) {
			(*report)(&r).add("span %q: operation type %q", s.Name, s.Type())
		}
		destination := s.Attributes.Text(semconv.MessagingDestinationNameKey)
		if destination == "" {
			(*report)(&r).add("span %q: no messaging.destination.name", s.Name)
		}
		if c.System != "rabbitmq" {
			continue
		}
		r = append(r, checkRabbitMQ(s, destination)...)
	}
	return r
}

func checkRabbitMQ(s *Span, destination string) (r []string) {
	if s.Attributes.Text(semconv.ServerAddressKey) == "" {
		(*report)(&r).add("span %q: no server.address", s.Name)
	}
	if _, temporary := s.Attributes[semconv.MessagingDestinationTemporaryKey]; temporary {
		return r
	}
	parts := strings.Count(destination, ":") + 1
	key := s.Attributes.Text(semconv.MessagingRabbitMQDestinationRoutingKeyKey)
	if key == "" || !slices.Contains(strings.Split(destination, ":"), key) {
		(*report)(&r).add("span %q: the routing key %q is not part of the destination", s.Name, key)
	}
	switch s.Type() {
	case "create", "send":
		if parts > 2 {
			(*report)(&r).add("span %q: a message is sent to <exchange>:<routing key>", s.Name)
		}
	default:
		if parts != 3 {
			(*report)(&r).add("span %q: a message comes from <exchange>:<routing key>:<queue>", s.Name)
		}
		_, batch := s.Attributes[semconv.MessagingBatchMessageCountKey]
		if v := s.Attributes[semconv.MessagingRabbitMQMessageDeliveryTagKey]; !batch && v.Type() != attribute.INT64 {
			(*report)(&r).add("span %q: no delivery tag", s.Name)
		}
	}
	return r
}

var samplingRelevant = []attribute.Key{
	semconv.MessagingSystemKey, semconv.MessagingOperationNameKey, semconv.MessagingOperationTypeKey, semconv.MessagingDestinationNameKey,
	semconv.MessagingConsumerGroupNameKey, semconv.ServerAddressKey, semconv.ServerPortKey,
}

func checkGiven(c *Capture) (r []string) {
	for _, s := range c.messaging() {
		for _, key := range samplingRelevant {
			if _, set := s.Attributes[key]; !set {
				continue
			}
			if _, given := s.Given[key]; !given {
				(*report)(&r).add("span %q: %s is set after the start", s.Name, key)
			}
		}
		if s.GivenLinks < len(s.Links) {
			(*report)(&r).add("span %q: links are added after the start", s.Name)
		}
	}
	return r
}

var deprecated = []attribute.Key{
	"messaging.operation", "messaging.destination", "messaging.destination_kind", "messaging.url", "messaging.message_id", "messaging.kafka.consumer.group",
	"messaging.rabbitmq.routing_key", "messaging.conversation_id", "net.peer.name", "net.peer.port", "net.sock.peer.addr", "messaging.client_id",
	"messaging.message.payload_size_bytes", "messaging.consumer.id",
}

func checkDeprecated(c *Capture) (r []string) {
	for _, s := range c.Spans {
		for _, key := range deprecated {
			if _, used := s.Attributes[key]; used {
				(*report)(&r).add("span %q: %s is deprecated", s.Name, key)
			}
		}
	}
	for _, name := range []string{"messaging.publish.duration", "messaging.receive.duration", "messaging.process.messages", "messaging.client.published.messages"} {
		if c.metric(name).Data != nil {
			(*report)(&r).add("the metric %s is deprecated", name)
		}
	}
	return r
}

// ofBatches is true for scenarios with a batch.
func (c *Capture) ofBatches() bool { return strings.HasPrefix(c.Scenario, "batch") }

func checkBatchCount(c *Capture) (r []string) {
	batches := 0
	for _, s := range c.messaging() {
		count, batch := s.Attributes[semconv.MessagingBatchMessageCountKey]
		if !batch {
			continue
		}
		batches++
		if int(count.AsInt64()) != len(s.Links)+s.Dropped {
			(*report)(&r).add("span %q: %d messages and %d links", s.Name, count.AsInt64(), len(s.Links)+s.Dropped)
		}
	}
	if (batches > 0) != c.ofBatches() {
		(*report)(&r).add("%d spans have a count of messages", batches)
	}
	return r
}

func checkPerMessage(c *Capture) (r []string) {
	for _, s := range c.messaging() {
		_, batch := s.Attributes[semconv.MessagingBatchMessageCountKey]
		if !batch {
			if c.Scenario != "refused" && s.Attributes.Text(semconv.MessagingMessageIDKey) == "" {
				(*report)(&r).add("span %q: no message id", s.Name)
			}
			continue
		}
		if _, set := s.Attributes[semconv.MessagingMessageIDKey]; set {
			(*report)(&r).add("span %q is of many messages and has the id of one", s.Name)
		}
		for _, l := range s.Links {
			if l.Attributes.Text(semconv.MessagingMessageIDKey) == "" {
				(*report)(&r).add("span %q: a link without a message id", s.Name)
			}
		}
	}
	return r
}

func checkOptIn(c *Capture) (r []string) {
	for _, s := range c.Spans {
		for _, key := range []attribute.Key{semconv.MessagingMessageBodySizeKey, semconv.MessagingMessageEnvelopeSizeKey} {
			if _, set := s.Attributes[key]; set {
				(*report)(&r).add("span %q: %s was not asked for", s.Name, key)
			}
		}
		for key := range s.Attributes {
			if strings.HasPrefix(string(key), "async.header.") {
				(*report)(&r).add("span %q: %s was not asked for", s.Name, key)
			}
		}
		if s.Scope.Name == module && s.Kind == trace.SpanKindInternal {
			(*report)(&r).add("span %q was not asked for", s.Name)
		}
	}
	return r
}

var errorTypePattern = regexp.MustCompile(`^[A-Za-z*][A-Za-z0-9_.:/*-]*$`)

func checkStatus(c *Capture) (r []string) {
	for _, s := range c.messaging() {
		kind := s.Attributes.Text(semconv.ErrorTypeKey)
		switch {
		case s.Status == codes.Ok:
			(*report)(&r).add("span %q: the status Ok is the user's", s.Name)
		case s.Status == codes.Unset && kind != "":
			(*report)(&r).add("span %q has succeeded and has error.type %s", s.Name, kind)
		case s.Status == codes.Error && (!errorTypePattern.MatchString(kind) || s.Description == ""):
			(*report)(&r).add("span %q has failed with error.type %q and description %q", s.Name, kind, s.Description)
		case s.Status == codes.Error && s.Type() != "create":
			metric := "messaging.client.operation.duration"
			if s.Type() == "process" {
				metric = "messaging.process.duration"
			}
			operation := semconv.MessagingOperationNameKey.String(s.Attributes.Text(semconv.MessagingOperationNameKey))
			if c.metric(metric).count(semconv.ErrorTypeKey.String(kind), operation) == 0 {
				(*report)(&r).add("span %q has error.type %s, and its metric has not", s.Name, kind)
			}
		}
	}
	if c.Facts.Fails && !c.quiet() && !slices.ContainsFunc(c.messaging(), func(s *Span) bool { return s.Status == codes.Error }) {
		(*report)(&r).add("something has failed, and no span tells")
	}
	return r
}

func checkExceptions(c *Capture) (r []string) {
	for _, s := range c.messaging() {
		if len(s.Events) > 0 {
			(*report)(&r).add("span %q has the events %v", s.Name, s.Events)
		}
		if s.Status != codes.Error {
			continue
		}
		severity := 13
		if s.Type() == "process" {
			severity = 17
		}
		found := 0
		for _, record := range c.Records {
			if record.Span == s.Context.SpanID() && record.Event == "messaging."+s.Type()+".exception" && record.Severity == severity {
				found++
			}
		}
		if found != 1 {
			(*report)(&r).add("span %q has failed, and %d log records tell", s.Name, found)
		}
	}
	return r
}

// creation is the creation context on the wire.
func creation(md map[string]string) trace.SpanContext { return parse(md[transport.MetaTraceparent]) }

// parse reads a traceparent.
func parse(text string) trace.SpanContext {
	parts := strings.Split(text, "-")
	const fields = 4
	if len(parts) != fields || parts[0] != "00" {
		return trace.SpanContext{}
	}
	traceID, err1 := trace.TraceIDFromHex(parts[1])
	spanID, err2 := trace.SpanIDFromHex(parts[2])
	if err1 != nil || err2 != nil {
		return trace.SpanContext{}
	}
	flags := trace.TraceFlags(0)
	if parts[3] == "01" {
		flags = trace.FlagsSampled
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: flags, Remote: true})
}
