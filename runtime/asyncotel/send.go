package asyncotel

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// sendOperation is the sending of one message, from the call to the confirm.
type sendOperation struct {
	spanned

	id      string
	fresh   bool                 // the message has no creation context yet
	created bool                 // the span was that of the creation only: the batch has one for the sending
	content []attribute.KeyValue // of a message of a batch: its size and headers
}

// startSend begins to send a message of the user's: its span is the creation context, unless the message has one.
func (p *endpoint) startSend(ctx context.Context, s *async.Sending) async.Operation {
	out := s.Outgoing
	if p.unobserved(ctx) {
		if out.Metadata[transport.MetaTraceparent] == "" {
			p.inject(ctx, trace.SpanContextFromContext(ctx), &out.Metadata)
		}
		return nil
	}
	o := p.publish
	switch {
	case s.Batch:
		o = p.create
	case out.Async:
		o = p.publishAsync
	}
	op := &sendOperation{id: out.ID}
	if whole, ours := s.Within.(*batchOperation); ours {
		p.joinBatch(ctx, op, whole, out)
		return op
	}
	if own := p.ownContext(out.Metadata); own.IsValid() {
		if s.Batch {
			// It was created elsewhere; the batch links to it.
			op.created = true
			op.p, op.o, op.ctx, op.start = p, o, ctx, s.Start
			op.span = trace.SpanFromContext(trace.ContextWithRemoteSpanContext(ctx, own))
			p.publish.success.add(begunSend, 1)
			return op
		}
		op.begin(ctx, p, p.publishOwn, s.Start, trace.WithLinks(trace.Link{SpanContext: own}))
	} else {
		op.begin(ctx, p, o, s.Start, trace.WithTimestamp(s.Start)) // async-created-at is the same instant
		op.fresh = true
	}
	if op.recording() {
		if !p.noID && op.id != "" {
			op.set(keyMessageID.String(op.id))
		}
		if s.CorrelationID != "" {
			op.set(keyConversationID.String(s.CorrelationID))
		}
	}
	if s.Batch {
		op.created = true
		op.end(nil, "", time.Now())
	}
	p.publish.success.add(begunSend, 1)
	return op
}

// ownContext is the creation context that an interceptor has set.
func (t *Telemetry) ownContext(md map[string]string) trace.SpanContext {
	if md[transport.MetaTraceparent] == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(t.extract(md))
}

// End ends the sending when the receipt resolves.
func (op *sendOperation) End(r async.Result) {
	p, i := op.p, op.p.instruments
	p.publish.success.add(endedSend, 1)
	if op.created {
		kind := ""
		if r.Err != nil {
			kind = errorType(r.Err, p.capabilities.System)
		}
		p.of(p.batch, kind).add(countedSent, 1)
		return
	}
	if r.Err == nil && !op.recording() && !i.operation.Enabled(op.ctx) {
		op.o.success.add(countedSent, 1)
		return // nobody asks what time it is
	}
	now := time.Now()
	if op.recording() {
		took := now.Sub(op.start)
		blocked := took
		if !r.Returned.IsZero() {
			blocked = min(r.Returned.Sub(op.start), took)
		}
		op.set(keySendDuration.Float64(took.Seconds()), keySendBlocked.Float64(blocked.Seconds()))
	}
	m, took := op.finish(r.Err, now)
	i.operation.record(op.ctx, took, m)
	m.add(countedSent, 1)
}

// startBatch begins the sending of a batch, whose messages have spans of their creation.
func (p *endpoint) startBatch(ctx context.Context, s *async.SendingBatch) async.Operation {
	if p.unobserved(ctx) {
		return nil
	}
	links := make([]trace.Link, 0, len(s.Messages))
	for _, message := range s.Messages {
		op, ours := message.(*sendOperation)
		if !ours || !op.spanContext().IsValid() {
			continue
		}
		link := trace.Link{SpanContext: op.spanContext()}
		if !p.noID && op.id != "" {
			link.Attributes = append(link.Attributes, p.kept([]attribute.KeyValue{keyMessageID.String(op.id)})...)
		}
		link.Attributes = append(link.Attributes, op.content...)
		links = append(links, link)
	}
	op := &batchOperation{}
	op.begin(ctx, p, p.batch, s.Start, trace.WithTimestamp(s.Start), trace.WithLinks(links...), p.startsWith(keyBatchCount.Int(len(s.Messages))))
	return op
}

type batchOperation struct{ spanned }

// beginBatch begins the sending of a batch whose messages have no spans of their creation.
func (p *endpoint) beginBatch(ctx context.Context, s *async.SendingBatch) async.Operation {
	if p.unobserved(ctx) {
		return nil
	}
	op := &batchOperation{}
	op.begin(ctx, p, p.batchOnly, s.Start, trace.WithTimestamp(s.Start), p.startsWith(keyBatchCount.Int(s.Size)))
	return op
}

// joinBatch has a message be created by the sending of its batch, unless it was created elsewhere: the batch links to that.
func (p *endpoint) joinBatch(ctx context.Context, op *sendOperation, whole *batchOperation, out *async.Outgoing) {
	op.created, op.p, op.o, op.ctx, op.given, op.span, op.start = true, p, p.batchOnly, whole.Context(ctx), ctx, whole.span, whole.start
	p.publish.success.add(begunSend, 1)
	own := p.ownContext(out.Metadata)
	if !own.IsValid() {
		op.fresh = true
		return
	}
	if whole.recording() {
		whole.span.AddLink(trace.Link{SpanContext: own})
	}
}

// encoded writes the creation context, and adds to the span what the message tells.
func (p *endpoint) encoded(sending async.Operation, msg *message.Message) {
	op, ours := sending.(*sendOperation)
	if !ours {
		return
	}
	if op.fresh {
		p.inject(op.ctx, op.spanContext(), (*map[string]string)(&msg.Metadata))
	}
	if !p.tellsContent() {
		return
	}
	if op.created {
		op.content = p.kept(p.content(msg))
		return
	}
	op.set(p.content(msg)...)
}

// End ends the sending of a batch.
func (op *batchOperation) End(r async.Result) {
	now := time.Now()
	op.set(keySendDuration.Float64(now.Sub(op.start).Seconds()), keySendBlocked.Float64(now.Sub(op.start).Seconds()))
	m, took := op.finish(r.Err, now)
	op.p.instruments.operation.record(op.ctx, took, m)
}
