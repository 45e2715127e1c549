package async

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// observe asks the telemetry, if there is one, for the observer of an endpoint.
func (rt *Runtime) observe(e Endpoint) Observer {
	if rt.telemetry == nil {
		return Observer{}
	}
	return rt.telemetry.Observe(e)
}

func (r *route) observe(rt *Runtime) {
	r.observer = rt.observe(Endpoint{Spec: r.spec, Transport: r.link.transport, Topic: r.topic, TraceMode: r.spec.Policy.Trace})
}

func (b *binding) observe(option TraceMode) {
	mode := b.route.spec.Policy.Trace
	if option != TraceUnspecified {
		mode = option
	}
	b.observer = b.rt.observe(Endpoint{
		Spec: b.route.spec, Transport: b.route.link.transport, Topic: b.sub.Topic, Subscription: &b.sub, TraceMode: mode,
		Chosen: option != TraceUnspecified, Batch: b.mode == modeBatch,
	})
}

// observed is next under observation.
func (r *route) observed(next SendFunc) SendFunc {
	if r.observer.Send == nil {
		return next
	}
	return func(ctx context.Context, out *Outgoing) *Receipt {
		o, _ := sendObservations.Get().(*sendObservation)
		o.sending = Sending{Outgoing: out, Start: time.Now(), Batch: out.batch != nil}
		if out.call != nil {
			o.sending.CorrelationID = out.call.correlationID
		}
		if out.batch != nil {
			o.sending.Within = out.batch.whole
		}
		out.created = o.sending.Start
		op := r.observer.Send(ctx, &o.sending)
		if op == nil {
			o.sending = Sending{}
			sendObservations.Put(o)
			return next(ctx, out)
		}
		if out.batch != nil {
			out.batch.messages = append(out.batch.messages, op)
		}
		o.op, out.observation = op, o
		inside := op.Context(ctx)
		if out.Async {
			out.life = op.Context(out.life)
		} else {
			out.life = inside
		}
		receipt := next(inside, out)
		if out.Async {
			o.returned = time.Now()
		}
		receipt.watch(o)
		return receipt
	}
}

// refused is a send that did not get as far as the interceptors.
func (r *route) refused(ctx context.Context, out *Outgoing, err error) *Receipt {
	refuse := func(context.Context, *Outgoing) *Receipt { return FailedReceipt(out.ID, err) }
	return r.observed(refuse)(ctx, out)
}

// sendObservation is the observed end of a send.
type sendObservation struct {
	sending  Sending
	op       Operation
	returned time.Time
}

// What nobody observes is used again: a program may have telemetry and nobody who listens.
var (
	sendObservations = sync.Pool{New: func() any { return new(sendObservation) }}
	observations     = sync.Pool{New: func() any { return new(observation) }}
	settlings        = sync.Pool{New: func() any { return new(Settling) }}
)

func (o *sendObservation) end(err error) { o.op.End(Result{Err: err, Returned: o.returned}) }

// encoded tells the observer of a message that is encoded.
func (r *route) encoded(out *Outgoing, msg *message.Message) {
	if out.observation != nil && r.observer.Encoded != nil {
		r.observer.Encoded(out.observation.op, msg)
	}
}

// batchObservation is a batch under observation: as a whole that its messages are sent within, or else when all were handed over.
type batchObservation struct {
	sending  SendingBatch
	whole    Operation
	messages []Operation
}

// beginBatch begins the observation of a batch of size messages.
func (r *route) beginBatch(ctx context.Context, size int) *batchObservation {
	b := &batchObservation{sending: SendingBatch{Spec: r.spec, Start: time.Now(), Size: size}}
	if r.observer.BeginBatch != nil && size > 0 {
		b.whole = r.observer.BeginBatch(ctx, &b.sending)
	}
	return b
}

// handedOver notes that all messages of the batch are, and returns what ends its observation.
func (b *batchObservation) handedOver(ctx context.Context, r *route) func(error) {
	op := b.whole
	if op == nil && r.observer.SendBatch != nil && len(b.messages) > 0 {
		b.sending.Messages = b.messages
		op = r.observer.SendBatch(ctx, &b.sending)
	}
	if op == nil {
		return func(error) {}
	}
	return func(err error) { op.End(Result{Err: err}) }
}

// observation is a delivery under observation: a handler's work, or a pull.
type observation struct {
	receiving Receiving
	one       [1]ReceivedDelivery
	settling  Settling
	op        Operation
	attempt   atomic.Pointer[Operation] // the call of the handler that is under way
	done      time.Time                 // when the handler was done
	err       error
	tries     int
	reply     error // what a request's handler answers, if it is an error
	entry     bool  // of a batch, whose handler is called for all entries at once
	ended     atomic.Bool
}

func (o *observation) end(r Result) {
	if o.ended.CompareAndSwap(false, true) {
		o.endAttempt(r.Err, r.At)
		o.op.End(r)
	}
}

func (o *observation) endAttempt(err error, at time.Time) {
	if attempt := o.attempt.Swap(nil); attempt != nil {
		(*attempt).End(Result{Err: err, At: at})
	}
}

// received describes the delivery to an observer.
func (x *delivery) received() ReceivedDelivery {
	return ReceivedDelivery{Message: x.msg, Delivery: x.d, Attempt: x.attempt}
}

// begin starts the observation of a handler's work, once for all attempts in this process.
func (x *delivery) begin(ctx context.Context, received bool) *observation {
	process := x.feed.b.observer.Process
	if process == nil {
		return nil
	}
	o, _ := observations.Get().(*observation)
	o.one = [1]ReceivedDelivery{x.received()}
	o.receiving = Receiving{Start: time.Now(), Deliveries: o.one[:], Received: received}
	if o.op = process(ctx, &o.receiving); o.op == nil {
		o.one, o.receiving, x.unobserved = [1]ReceivedDelivery{}, Receiving{}, true
		observations.Put(o)
		return nil
	}
	x.observation.Store(o)
	return o
}

// beginPush is begin for a handler that the feed calls.
func (x *delivery) beginPush() {
	if x.feed.b.observer.Process != nil && x.observation.Load() == nil {
		x.begin(x.parent(), false)
	}
}

// pulled observes that the delivery is handed to who waited for it since start.
func (x *delivery) pulled(ctx context.Context, start time.Time) {
	receive := x.feed.b.observer.Receive
	if receive == nil {
		return
	}
	op := receive(ctx, &Receiving{Start: start, Deliveries: []ReceivedDelivery{x.received()}})
	if op == nil {
		return
	}
	o := &observation{op: op}
	o.end(Result{})
	x.observation.Store(o)
}

// unreceived observes that who waited since start gets no message.
func (b *binding) unreceived(ctx context.Context, start time.Time, err error) {
	if b.observer.ReceiveNone == nil {
		return
	}
	if op := b.observer.ReceiveNone(ctx, start); op != nil {
		op.End(Result{Err: err})
	}
}

// beginBatch observes the handling of a batch. What it returns ends it.
func (f *feed) beginBatch(entries []*delivery) func(error) {
	process := f.b.observer.Process
	if process == nil {
		return func(error) {}
	}
	r := &Receiving{Start: time.Now(), Deliveries: make([]ReceivedDelivery, 0, len(entries))}
	for _, x := range entries {
		r.Deliveries = append(r.Deliveries, x.received())
	}
	op := process(f.ctx, r)
	if op == nil {
		for _, x := range entries {
			x.unobserved = true
		}
		return func(error) {}
	}
	for n, x := range entries {
		x.observation.Store(f.b.entry(op, n))
	}
	return func(err error) { op.End(Result{Err: err, Tries: 1}) }
}

// entry is the observation of an entry of a batch.
func (b *binding) entry(batch Operation, n int) *observation {
	o := &observation{op: batch, entry: true}
	if b.observer.Entry != nil {
		if op := b.observer.Entry(batch, n); op != nil {
			o.op = op
			return o
		}
	}
	o.ended.Store(true) // it ends with the batch
	return o
}

// observedContext returns parent with what the observation adds.
func (x *delivery) observedContext(parent context.Context) context.Context {
	return x.observation.Load().context(parent)
}

// attemptContext begins the observation of a call of the handler, and returns parent with what that and the handling o add.
func (x *delivery) attemptContext(parent context.Context, o *observation) context.Context {
	begin := x.feed.b.observer.Attempt
	if begin == nil || o == nil || o.entry || o.ended.Load() {
		return o.context(parent)
	}
	attempt := begin(o.op, x.attempt)
	if attempt == nil {
		return o.context(parent)
	}
	o.attempt.Store(&attempt)
	return attempt.Context(parent)
}

func (x *delivery) operation() Operation {
	if o := x.observation.Load(); o != nil {
		return o.op
	}
	return nil
}

// handled notes the verdict on an attempt, and when it was given.
func (x *delivery) handled(verdict error) {
	if o := x.observation.Load(); o != nil && !o.ended.Load() {
		o.done, o.err = time.Now(), verdict
		if verdict == nil {
			o.err = o.reply
		}
		o.tries++
		o.endAttempt(o.err, o.done)
	}
}

// answered notes what a request's handler answers: for the transport it has succeeded in any case.
func (x *delivery) answered(err error) {
	if o := x.observation.Load(); o != nil {
		o.reply = err
	}
}

// became ends the observation of the handler's work. Only the first call counts.
func (x *delivery) became(fate Fate) {
	if o := x.observation.Load(); o != nil {
		o.end(Result{Err: o.err, At: o.done, Attempt: x.attempt, Tries: o.tries, Fate: fate})
	}
}

// observeSettle ends the observation of the work, and begins that of the settlement.
func (x *delivery) observeSettle(o transport.Outcome) Operation {
	if o == transport.Ack {
		x.became(FateAck)
	} else {
		x.became(FateRequeue)
	}
	settle := x.feed.b.observer.Settle
	if settle == nil || x.unobserved {
		return nil
	}
	if observed := x.observation.Load(); observed != nil {
		observed.settling = Settling{Outcome: o, Delivery: x.d, Message: x.msg, Parent: observed.op}
		return settle(&observed.settling)
	}
	s, _ := settlings.Get().(*Settling)
	*s = Settling{Outcome: o, Delivery: x.d, Message: x.msg}
	op := settle(s)
	if op == nil {
		*s = Settling{}
		settlings.Put(s)
	}
	return op
}

// resend is sendInternal on behalf of the delivery.
func (x *delivery) resend(purpose Purpose, p transport.Publication, msg *message.Message, done func(error)) {
	b := x.feed.b
	if b.observer.Resend != nil {
		done = b.observer.resending(&Resending{Purpose: purpose, Publication: p, Message: msg, Cause: x.msg, Parent: x.operation()}, done)
	}
	b.rt.sendInternal(b.route.link, p, msg, done)
}

// resending begins the observation of what the runtime itself sends. What it returns ends that, and calls done.
func (o *Observer) resending(r *Resending, done func(error)) func(error) {
	op := o.Resend(r)
	if op == nil {
		return done
	}
	r.Message.SetContext(op.Context(r.Message.Context()))
	return func(err error) {
		op.End(Result{Err: err})
		done(err)
	}
}

// context is Operation.Context; a nil observation adds nothing.
func (o *observation) context(parent context.Context) context.Context {
	if o == nil {
		return parent
	}
	return o.op.Context(parent)
}

// observe begins the observation of a call.
func (s *callState) observe(ctx context.Context, o *Observer) context.Context {
	s.observer = o
	if o.Call == nil {
		return ctx
	}
	s.op = o.Call(ctx, &Calling{Spec: s.spec, Start: time.Now()})
	if s.op == nil {
		return ctx
	}
	return s.op.Context(ctx)
}

// observed ends the observation of a call.
func (s *callState) observed(err error) {
	if s.op != nil {
		s.op.End(Result{Err: err})
	}
}

// replied observes the reply to a call.
func (s *callState) replied(msg *message.Message, d transport.Delivery) {
	if s.observer == nil || s.observer.Receive == nil {
		return
	}
	ctx := context.Background()
	if s.op != nil {
		ctx = s.op.Context(ctx)
	}
	op := s.observer.Receive(ctx, &Receiving{Start: time.Now(), Reply: true, Source: s.replyTo, Deliveries: []ReceivedDelivery{{Message: msg, Delivery: d}}})
	if op != nil {
		op.End(Result{})
	}
}

// logContext is the context in which the runtime logs what concerns the delivery.
func (x *delivery) logContext() context.Context { return x.observedContext(context.Background()) }
