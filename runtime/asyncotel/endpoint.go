package asyncotel

import (
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// endpoint is one end of an rpc, with everything prepared that its messages share.
type endpoint struct {
	*Telemetry
	async.Endpoint

	capabilities transport.Capabilities
	mode         async.TraceMode
	confirm      string

	// Sending ends.
	publish, publishAsync, publishOwn, create, batch, batchOnly *operation
	// Receiving ends.
	process, receive, ack, nack, retry, dead *operation
	queued, attempt                          *operation // nil unless asked for
	// Both ends of a request.
	reply, receiveReply *operation
	call                *operation

	messageType attribute.KeyValue
	produced    produced // what a Watermill middleware sends
}

// operation is a kind of operation of an endpoint: its span's name, its attributes, and those of its metrics.
type operation struct {
	name string
	span string
	typ  string
	kind trace.SpanKind
	// start is what every span of the operation starts with: what the conventions want samplers to see. Each attribute more would
	// be copied for each span, sampled or not.
	start []trace.SpanStartOption
	// later are the other attributes of a span that is recorded, before the filter.
	later []attribute.KeyValue
	// timed and counted are the attributes of histograms and of counters, without error.type.
	timed, counted []attribute.KeyValue
	success        *metering
	failed         sync.Map // of *metering, by error type
}

// metering is what metrics need, prepared for one set of attributes.
type metering struct {
	*tally

	record []metric.RecordOption
}

func (p *endpoint) newMetering(timed, counted []attribute.KeyValue) *metering {
	m := &metering{record: []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(p.kept(timed)...))}}
	if counted != nil {
		m.tally = p.instruments.ledger.of(p.kept(counted))
	}
	return m
}

// kept are the attributes that the filter keeps, in a copy if there is one.
func (p *endpoint) kept(attributes []attribute.KeyValue) []attribute.KeyValue {
	if p.keep == nil {
		return attributes
	}
	return slices.DeleteFunc(slices.Clone(attributes), func(a attribute.KeyValue) bool { return !p.keep(p.Spec, a) })
}

// startsWith is kept as an option of spans.
func (p *endpoint) startsWith(attributes ...attribute.KeyValue) trace.SpanStartOption {
	return trace.WithAttributes(p.kept(attributes)...)
}

// with returns a copy of attributes with one more.
func with(attributes []attribute.KeyValue, more ...attribute.KeyValue) []attribute.KeyValue {
	return append(slices.Clip(attributes), more...)
}

// of returns the options for an operation that ended with the error type; empty is success. Error types are few: they
// name kinds of errors and not errors.
func (p *endpoint) of(o *operation, errorType string) *metering {
	if errorType == "" {
		return o.success
	}
	if m, ok := o.failed.Load(errorType); ok {
		return m.(*metering) //nolint:errcheck,forcetypeassert // only meterings are stored
	}
	failure := keyErrorType.String(errorType)
	var counted []attribute.KeyValue
	if o.counted != nil {
		counted = with(o.counted, failure)
	}
	m := p.newMetering(with(o.timed, failure), counted)
	o.failed.Store(errorType, m)
	return m
}

func newEndpoint(t *Telemetry, e async.Endpoint) *endpoint {
	p := &endpoint{Telemetry: t, Endpoint: e, capabilities: e.Transport.Capabilities(), mode: e.TraceMode, confirm: confirmNone}
	if p.mode == async.TraceUnspecified {
		p.mode = t.settings.mode
	}
	if p.capabilities.Settlement == transport.Native {
		p.confirm = confirmBroker
	}
	input := e.Spec.Input().ProtoReflect().Descriptor().FullName()
	p.messageType = keyMessageType.String(string(input))
	p.prepareReply()
	if e.Subscription == nil {
		p.prepareSend()
	} else {
		p.prepareReceive(*e.Subscription)
	}
	return p
}

func (p *endpoint) prepareSend() {
	to := transport.DescribeSend(p.Transport, transport.Publication{Topic: p.Topic, RoutingKey: p.Spec.Type})
	name := operationPublish
	if p.Spec.Kind == async.KindRequest {
		name = operationRequest
	}
	confirm := keySendConfirm.String(p.confirm)
	p.publish = p.operation(name, sendType, trace.SpanKindProducer, to, keySendMode.String(sendModeSync), confirm)
	p.publishAsync = p.operation(name, sendType, trace.SpanKindProducer, to, keySendMode.String(sendModeAsync), confirm)
	p.publishOwn = p.operation(name, sendType, trace.SpanKindClient, to, confirm)
	p.batch = p.operation(name, sendType, trace.SpanKindClient, to, keySendMode.String(sendModeSync), confirm)
	p.batchOnly = p.operation(name, sendType, trace.SpanKindProducer, to, keySendMode.String(sendModeSync), confirm)
	p.create = p.operation(operationCreate, createType, trace.SpanKindProducer, to)
	p.call = &operation{span: p.Spec.Name(), kind: trace.SpanKindClient}
	p.call.timed = with(p.attributes, keyRPCSystem.String(rpcSystem), keyRPCMethod.String(p.Spec.Name()))
	p.call.success = p.newMetering(p.call.timed, nil)
	p.call.start = []trace.SpanStartOption{trace.WithSpanKind(p.call.kind), p.startsWith(p.call.timed...)}
}

func (p *endpoint) prepareReceive(s transport.Subscription) {
	from := transport.DescribeReceive(p.Transport, s, p.Spec.Type)
	group := make([]attribute.KeyValue, 0, 1)
	if s.Group != "" && !s.Broadcast {
		group = append(group, keyGroup.String(s.Group))
	}
	p.process = p.operation(operationProcess, processType, trace.SpanKindConsumer, from, group...)
	p.receive = p.operation(operationReceive, receiveType, trace.SpanKindClient, from, group...)
	p.ack = p.operation(operationAck, settleType, trace.SpanKindClient, from, group...)
	p.nack = p.operation(operationNack, settleType, trace.SpanKindClient, from, group...)
	again := transport.Publication{Topic: s.Topic, Group: s.Group, RoutingKey: p.Spec.Type}
	dead := transport.Publication{Topic: s.DeadTopic, Direct: true, RoutingKey: p.Spec.Type}
	p.retry = p.operation(operationPublish, sendType, trace.SpanKindClient, transport.DescribeSend(p.Transport, again))
	p.dead = p.operation(operationPublish, sendType, trace.SpanKindClient, transport.DescribeSend(p.Transport, dead))
	if p.queues {
		p.queued = p.internal(operationQueue, from)
	}
	if p.attempts {
		p.attempt = p.internal(operationAttempt, transport.Destination{})
	}
}

// internal prepares a span that is no operation of the conventions, and has no metrics.
func (p *endpoint) internal(name string, d transport.Destination) *operation {
	o := &operation{name: name, span: name, kind: trace.SpanKindInternal}
	attributes := with(p.attributes, keySystem.String(p.capabilities.System), keyOperationName.String(name), p.messageType)
	o.span, attributes, _ = p.place(name, attributes, d, true)
	o.start = []trace.SpanStartOption{trace.WithSpanKind(o.kind), p.startsWith(attributes...)}
	return o
}

// place adds the destination to the name of a span and to the attributes that it shares with metrics, if they may have that; apart are
// those that it has alone.
func (p *endpoint) place(span string, shared []attribute.KeyValue, d transport.Destination, measured bool) (name string, both, apart []attribute.KeyValue) {
	if d.Name == "" || d.Temporary || d.Anonymous {
		return span, shared, nil
	}
	named := keyDestination.String(d.Name)
	if p.template != nil {
		if template := p.template(p.Spec, d.Name); template != "" {
			return span + " " + template, append(shared, keyTemplate.String(template)), []attribute.KeyValue{named}
		}
	}
	if !measured {
		return span + " " + d.Name, shared, []attribute.KeyValue{named}
	}
	return span + " " + d.Name, append(shared, named), nil
}

func (p *endpoint) prepareReply() {
	if p.Spec.Kind != async.KindRequest {
		return
	}
	inbox := transport.Destination{Temporary: true, Anonymous: true}
	p.reply = p.operation(operationReply, sendType, trace.SpanKindProducer, inbox)
	p.receiveReply = p.operation(operationReceive, receiveType, trace.SpanKindClient, inbox)
}

// operation prepares one kind of operation. more are attributes of its spans only.
func (p *endpoint) operation(name, typ string, kind trace.SpanKind, d transport.Destination, more ...attribute.KeyValue) *operation {
	return p.prepare(name, typ, kind, d, true, more)
}

// prepare is operation, whose metrics name the destination if it is measured: it must be one of few then.
func (p *endpoint) prepare(name, typ string, kind trace.SpanKind, d transport.Destination, measured bool, more []attribute.KeyValue) *operation {
	o := &operation{name: name, typ: typ, kind: kind}
	shared := with(p.attributes, keySystem.String(p.capabilities.System), keyOperationName.String(name))
	var apart []attribute.KeyValue
	o.span, shared, apart = p.place(name, shared, d, measured)
	if describer, ok := p.Transport.(transport.Describer); ok {
		address, port := describer.Server()
		if address != "" {
			shared = append(shared, keyServerAddress.String(address))
		}
		if port != 0 {
			shared = append(shared, keyServerPort.Int(port))
		}
	}
	span := append(with(shared, keyOperationType.String(typ)), apart...)
	o.counted = with(shared, p.messageType)
	o.later = append(o.later, p.messageType)
	for _, a := range more {
		if a.Key == keyGroup {
			o.counted, span = with(o.counted, a), append(span, a)
		} else {
			o.later = append(o.later, a)
		}
	}
	// The conventions have no operation type on the duration of processing, and on counters.
	o.timed = o.counted
	if typ != processType {
		o.timed = with(o.timed, keyOperationType.String(typ))
	}
	o.success = p.newMetering(o.timed, o.counted)
	if d.RoutingKey != "" && p.capabilities.System == systemRabbitMQ {
		o.later = append(o.later, keyRoutingKey.String(d.RoutingKey))
	}
	if d.Temporary {
		o.later = append(o.later, keyTemporary.Bool(true))
	}
	if d.Anonymous {
		o.later = append(o.later, keyAnonymous.Bool(true))
	}
	o.start = []trace.SpanStartOption{trace.WithSpanKind(kind), p.startsWith(span...)}
	return o
}
