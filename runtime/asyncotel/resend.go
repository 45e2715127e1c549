package asyncotel

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// inside is the context of what belongs to the handling of a message; parent may be nil.
func inside(parent async.Operation) context.Context {
	if parent == nil {
		return context.Background()
	}
	return parent.Context(context.Background())
}

// after is the context of what follows from the handling of a message: inside of it, with a link to the creation.
func (p *endpoint) after(parent async.Operation, msg *message.Message) (context.Context, []trace.SpanStartOption) {
	ctx := inside(parent)
	creation := p.creationOf(parent, msg)
	if !creation.IsValid() {
		return ctx, nil
	}
	return ctx, []trace.SpanStartOption{trace.WithLinks(p.linked(creation, p.mode))}
}

// creationOf is the creation context of a message that parent handles, which has read it already, or that nobody has.
func (p *endpoint) creationOf(parent async.Operation, msg *message.Message) trace.SpanContext {
	if handling, ours := parent.(*processOperation); ours {
		return handling.creation
	}
	from := p.origin(msg)
	return from.creation
}

// resendOperation is a message that the runtime itself sends.
type resendOperation struct {
	spanned

	purpose async.Purpose
}

// startResend begins to send a retry, a dead letter, a reply, or what a middleware produced.
func (p *endpoint) startResend(s *async.Resending) async.Operation {
	md := (*map[string]string)(&s.Message.Metadata)
	if p.unobservedAfter(s.Parent) {
		if s.Parent != nil && (*md)[transport.MetaTraceparent] == "" {
			ctx := inside(s.Parent)
			p.inject(ctx, trace.SpanContextFromContext(ctx), md)
		}
		return nil
	}
	if pulled, ok := s.Parent.(*receiveOperation); ok {
		pulled.resent.Store(int32(s.Purpose))
	}
	op := &resendOperation{purpose: s.Purpose}
	now := time.Now()
	switch s.Purpose {
	case async.PurposeReply:
		op.begin(inside(s.Parent), p, p.reply, now, p.startsWith(keyDestination.String(s.Publication.Topic)))
		p.inject(op.ctx, op.spanContext(), md)
		op.set(keyConversationID.String(s.Cause.Metadata[transport.MetaCorrelationID]))
	case async.PurposeProduce:
		ctx := inside(s.Parent)
		o := p.produced.operation(p, s.Publication)
		if own := p.ownContext(*md); own.IsValid() {
			op.begin(ctx, p, o, now, trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(trace.Link{SpanContext: own}))
		} else {
			op.begin(ctx, p, o, now)
			p.inject(op.ctx, op.spanContext(), md)
		}
	default:
		o := p.retry
		if s.Purpose == async.PurposeDeadLetter {
			o = p.dead
			p.noteFailed(s.Parent, *md)
		}
		ctx, links := p.after(s.Parent, s.Cause)
		op.begin(ctx, p, o, now, links...)
	}
	if id := (*md)[transport.MetaID]; id != "" && !p.noID {
		op.set(keyMessageID.String(id))
	}
	if op.recording() && p.tellsContent() {
		op.set(p.content(s.Message)...)
	}
	return op
}

// noteFailed writes which handling has failed beside the creation context, which stays as it is.
func (p *endpoint) noteFailed(parent async.Operation, md map[string]string) {
	failed, ours := parent.(spanner)
	if !ours || !failed.spanContext().IsValid() {
		return
	}
	var written map[string]string
	p.propagator.Inject(trace.ContextWithSpanContext(context.Background(), failed.spanContext()), carrier{&written})
	if traceparent := written[transport.MetaTraceparent]; traceparent != "" {
		md[transport.MetaFailedTraceparent] = traceparent
	}
}

// End ends the sending.
func (op *resendOperation) End(r async.Result) {
	i := op.p.instruments
	m, took := op.finish(r.Err, r.At)
	i.operation.record(op.ctx, took, m)
	m.add(countedSent, 1)
	if r.Err != nil {
		if op.purpose == async.PurposeDeadLetter {
			op.p.process.success.add(countedDeadLetterFailures, 1)
		}
		return
	}
	switch op.purpose {
	case async.PurposeRetry:
		op.p.process.success.add(countedRetries, 1)
	case async.PurposeDeadLetter:
		op.p.process.success.add(countedDeadLettered, 1)
	default:
	}
}

// callOperation is a request with its reply.
type callOperation struct{ spanned }

func (p *endpoint) startCall(ctx context.Context, c *async.Calling) async.Operation {
	if p.unobserved(ctx) {
		return nil
	}
	op := &callOperation{}
	if p.noCall {
		op.p, op.o, op.ctx, op.given, op.start = p, p.call, ctx, ctx, c.Start
		return op
	}
	op.begin(ctx, p, p.call, c.Start, trace.WithTimestamp(c.Start))
	return op
}

// Context returns parent with the span of the call, or without one with that of the caller.
func (op *callOperation) Context(parent context.Context) context.Context {
	if op.span != nil {
		return op.spanned.Context(parent)
	}
	caller := trace.SpanFromContext(op.ctx)
	if !caller.SpanContext().IsValid() || same(parent, op.given) {
		return parent
	}
	return trace.ContextWithSpan(parent, caller)
}

// End ends the call.
func (op *callOperation) End(r async.Result) {
	m, took := op.finish(r.Err, r.At)
	op.p.instruments.call.record(op.ctx, took, m)
}
