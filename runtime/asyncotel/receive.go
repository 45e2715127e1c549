package asyncotel

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// receiveOperation is the receiving of one pulled message, or of a reply.
type receiveOperation struct {
	spanned

	baggage baggage.Baggage
	travel  travel
	skewed  bool         // was counted
	resent  atomic.Int32 // the [async.Purpose] with which the runtime stored it again
}

// startReceive begins, after the wait and with the time at which it began, so that samplers know the links.
func (p *endpoint) startReceive(ctx context.Context, r *async.Receiving) async.Operation {
	if p.unobserved(ctx) {
		return p.pass(r.Deliveries[0])
	}
	d, o := r.Deliveries[0], p.receive
	if r.Reply {
		o = p.receiveReply
	}
	from := p.origin(d.Message)
	op := &receiveOperation{travel: travelOf(&from)}
	var options []trace.SpanStartOption
	if p.mode != async.TraceUntrusted {
		op.baggage = from.baggage
	}
	if from.creation.IsValid() {
		options = append(options, trace.WithLinks(p.linked(from.creation, p.mode)))
	}
	if r.Source != "" {
		options = append(options, p.startsWith(keyDestination.String(r.Source)))
	}
	options = append(options, trace.WithTimestamp(r.Start))
	op.begin(ctx, p, o, r.Start, options...)
	if op.recording() {
		op.tellMessage(d)
		if p.tellsContent() {
			op.set(p.content(d.Message)...)
		}
	}
	a := arrivalOf(d, &from, time.Now())
	op.skewed = a.skewed
	if a.skewed {
		op.set(keyClockSkew.Bool(true))
	}
	p.countArrival(op.ctx, a, o, !r.Reply)
	return op
}

// Context has the span and the message's baggage.
func (op *receiveOperation) Context(parent context.Context) context.Context {
	if op.baggage.Len() > 0 {
		parent = baggage.ContextWithBaggage(parent, op.baggage)
	}
	return op.spanned.Context(parent)
}

// End ends the receiving: the message is handed over.
func (op *receiveOperation) End(r async.Result) {
	m, took := op.finish(r.Err, r.At)
	op.p.instruments.operation.record(op.ctx, took, m)
	m.add(countedConsumed, 1)
}

// settled records how long a pulled message took that is settled without Process: it has come to its end unless it was stored
// for another attempt.
func (op *receiveOperation) settled(at time.Time) {
	m := op.o.success
	switch async.Purpose(op.resent.Load()) {
	case async.PurposeRetry:
		return
	case async.PurposeDeadLetter, async.PurposeAside:
		m = op.p.of(op.o, errorDeadLetter)
	default:
	}
	took := op.travel.until(at)
	if took.skewed && !op.skewed {
		op.o.success.add(countedSkew, 1)
	}
	op.p.instruments.arrived(op.ctx, took, m)
}

// waitOperation is a pull that ends without a message.
type waitOperation struct {
	spanned

	asked context.Context //nolint:containedctx // whether it has ended is what the operation ends with
}

func (p *endpoint) startReceiveNone(ctx context.Context, start time.Time) async.Operation {
	if p.unobserved(ctx) {
		return nil
	}
	op := &waitOperation{asked: ctx}
	op.begin(ctx, p, p.receive, start, trace.WithTimestamp(start))
	return op
}

// End ends the wait. To end it with the context, the runtime, or by a pause is no failure.
func (op *waitOperation) End(r async.Result) {
	err := r.Err
	if op.asked.Err() != nil || errors.Is(err, async.ErrClosed) || errors.Is(err, async.ErrPaused) {
		err = nil
	}
	m, took := op.finish(err, r.At)
	op.p.instruments.operation.record(op.ctx, took, m)
}

// settleOperation is a settlement.
type settleOperation struct{ spanned }

func (p *endpoint) startSettle(s *async.Settling) async.Operation {
	if p.unobservedAfter(s.Parent) {
		return nil
	}
	if pulled, ok := s.Parent.(*receiveOperation); ok && s.Outcome == transport.Ack {
		pulled.settled(time.Now())
	}
	if p.noSettle || p.capabilities.Settlement != transport.Native {
		return nil
	}
	o := p.ack
	if s.Outcome != transport.Ack {
		o = p.nack
	}
	parent, ours := s.Parent.(spanner)
	unseen := p.tracing.asleep() || ours && !parent.spanContext().IsSampled()
	if unseen {
		// The settlement of a message that is not sampled is nobody's story.
		return p.timeSettle(o, s.Parent)
	}
	now := time.Now()
	op := &settleOperation{}
	ctx, links := p.after(s.Parent, s.Message)
	op.begin(ctx, p, o, now, links...)
	if op.recording() {
		op.tellMessage(async.ReceivedDelivery{Message: s.Message, Delivery: s.Delivery})
	}
	return op
}

// timeSettle observes a settlement without a span, of what parent has handled.
func (p *endpoint) timeSettle(o *operation, parent async.Operation) async.Operation {
	ctx := context.Background()
	if !p.instruments.operation.Enabled(ctx) && !p.logger.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityWarn}) {
		return nil
	}
	settle := timedSettle{p: p, o: o, start: time.Now()}
	if handling, ours := parent.(*processOperation); ours {
		handling.settling = settle // a delivery is settled once
		return &handling.settling
	}
	return &settle
}

// timedSettle is a settlement that has no span.
type timedSettle struct {
	p     *endpoint
	o     *operation
	start time.Time
}

// Context adds nothing.
func (*timedSettle) Context(parent context.Context) context.Context { return parent }

// End ends the settlement, as the transport reports it.
func (op *timedSettle) End(r async.Result) {
	s := spanned{p: op.p, o: op.o, ctx: context.Background(), start: op.start}
	m, took := s.finish(r.Err, r.At)
	op.p.instruments.operation.record(s.ctx, took, m)
}

// End ends the settlement, as the transport reports it.
func (op *settleOperation) End(r async.Result) {
	m, took := op.finish(r.Err, r.At)
	op.p.instruments.operation.record(op.ctx, took, m)
}
