package asyncotel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// processOperation is the handling of one message, with all its attempts in process.
type processOperation struct {
	spanned

	travel   travel
	baggage  baggage.Baggage   // the handler's too; empty unless the sender is trusted
	creation trace.SpanContext // of the message; invalid if it is not known
	link     [1]trace.Link
	handler  insideContext // the handler's, as long as it is made of the context that the handling began in
	settling timedSettle
	received bool // a receive operation was told of the message before
	skewed   bool // was counted
}

// startProcess begins the handling of a message, or of a batch.
func (p *endpoint) startProcess(ctx context.Context, r *async.Receiving) async.Operation {
	if p.unobserved(ctx) {
		return p.pass(r.Deliveries[0])
	}
	if p.Batch && !r.Received {
		return p.startProcessBatch(ctx, r)
	}
	d := r.Deliveries[0]
	from := p.origin(d.Message)
	op := &processOperation{travel: travelOf(&from), creation: from.creation, received: r.Received}
	rel := p.relate(ctx, &from, d.Attempt, r.Start, op.link[:0])
	if rel.mode != async.TraceUntrusted {
		op.baggage = from.baggage
	}
	links := p.withFailed(rel.links, d)
	a := arrivalOf(d, &from, r.Start)
	if p.queues && !r.Received && a.known && a.first {
		p.drawQueue(rel.parent, links, from.sent, r.Start)
	}
	if len(links) > 0 {
		op.begin(rel.parent, p, p.process, r.Start, trace.WithLinks(links...))
	} else {
		op.begin(rel.parent, p, p.process, r.Start)
	}
	op.skewed = a.skewed
	op.given, op.handler = ctx, insideContext{Context: op.ctx, hops: rel.hops}
	p.process.success.add(begunProcess, 1)
	if !r.Received {
		// Of what was pulled, the receiving has told.
		p.countArrival(op.ctx, a, p.process, true)
	}
	if !op.recording() {
		return op
	}
	op.tellMessage(d)
	op.set(keyTraceMode.String(modeName(rel.mode)))
	if !from.creation.IsValid() {
		op.set(keyContextMissing.Bool(true))
	}
	if a.skewed {
		op.set(keyClockSkew.Bool(true))
	}
	op.notes.attributes = a.attributes(op.notes.attributes)
	if p.tellsContent() {
		op.set(p.content(d.Message)...)
	}
	return op
}

// withFailed adds the link of a dead letter to the handling that failed.
func (p *endpoint) withFailed(links []trace.Link, d async.ReceivedDelivery) []trace.Link {
	failed := d.Message.Metadata[transport.MetaFailedTraceparent]
	if failed == "" {
		return links
	}
	sc := trace.SpanContextFromContext(p.extract(map[string]string{transport.MetaTraceparent: failed}))
	if !sc.IsValid() {
		return links
	}
	return append(links, p.linked(sc, p.mode, keyLinkType.String(linkFailedAttempt)))
}

// tellMessage tells of one received message on a span that is recorded.
func (s *spanned) tellMessage(d async.ReceivedDelivery) {
	s.notes.attributes = s.p.messageAttributes(s.notes.attributes, d)
}

// messageAttributes appends those of one received message.
func (p *endpoint) messageAttributes(a []attribute.KeyValue, d async.ReceivedDelivery) []attribute.KeyValue {
	md := d.Message.Metadata
	if id := md[transport.MetaID]; id != "" && !p.noID {
		a = append(a, keyMessageID.String(id))
	}
	if id := md[transport.MetaCorrelationID]; id != "" {
		a = append(a, keyConversationID.String(id))
	}
	if d.Attempt > 0 {
		a = append(a, keyAttempt.Int(d.Attempt))
	}
	if d.Delivery == nil {
		return a
	}
	if n := d.Delivery.Redeliveries(); n > 0 {
		a = append(a, keyRedeliveries.Int(n))
	}
	if tagged, ok := d.Delivery.(transport.Tagged); ok && p.capabilities.System == systemRabbitMQ {
		a = append(a, keyDeliveryTag.Int64(int64(tagged.DeliveryTag())))
	}
	return a
}

// Context is the handler's: it has the span, the message's baggage, and counts the hops.
func (op *processOperation) Context(parent context.Context) context.Context {
	if op.span != nil && same(parent, op.given) {
		return &op.handler
	}
	if op.baggage.Len() > 0 {
		parent = baggage.ContextWithBaggage(parent, op.baggage)
	}
	if !op.spanContext().IsValid() {
		return parent
	}
	return &insideContext{Context: op.spanned.Context(parent), hops: op.handler.hops}
}

// End ends the handling: at the time at which the handler was done.
func (op *processOperation) End(r async.Result) {
	p, i := op.p, op.p.instruments
	done := r.At
	if done.IsZero() {
		done = time.Now()
	}
	p.process.success.add(endedProcess, 1)
	err := r.Err
	if r.Fate == async.FateAck && p.Spec.Kind != async.KindRequest {
		err = nil // dropped by the handler's own will
	}
	terminal := ends(r.Fate)
	took := op.travel.until(done)
	if op.recording() {
		op.set(keyProcessDuration.Float64(max(done.Sub(op.start).Seconds(), 0)))
		if r.Fate != "" {
			op.set(keySettleOutcome.String(string(r.Fate)))
		}
		if r.Tries > 1 {
			op.set(keyAttempts.Int(r.Attempt))
		}
		op.tell(took, terminal)
	}
	m, handling := op.finish(err, done)
	i.process.record(op.ctx, handling, m)
	if !op.received {
		m.add(countedConsumed, 1)
	}
	if r.Tries > 1 {
		p.process.success.add(countedRetries, r.Tries-1)
	}
	if took.skewed && !op.skewed {
		p.process.success.add(countedSkew, 1)
	}
	if terminal {
		i.arrived(op.ctx, took, m)
	}
}
