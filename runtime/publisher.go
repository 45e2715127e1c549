package async

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/runtime/transport"
)

// Publisher sends the messages of one event or command rpc. Generated publishers hold one for each rpc. It is safe for
// concurrent use.
type Publisher[M proto.Message] struct {
	route *route
	rt    *Runtime
	send  SendFunc
}

// NewPublisher binds spec. It never fails: a wrong binding is the error of every call and of Run.
func NewPublisher[M proto.Message](rt *Runtime, spec *Spec, opts ...PublisherOption) *Publisher[M] {
	var o publisherOptions
	for _, opt := range opts {
		opt.applyPublisher(&o)
	}
	r := rt.route(spec)
	return &Publisher[M]{route: r, rt: rt, send: rt.sender(r, o)}
}

// Send sends msg and waits until the broker has stored it. It outlives ctx by less than 100 ms: when ctx ends first, the error wraps
// what the transport knows, [ErrBlocked] or [ErrBacklog] for a message that was never written, else [ErrUnknown]; and the
// context's cause. Without a deadline in ctx it is bounded by send_timeout.
func (p *Publisher[M]) Send(ctx context.Context, msg M, opts ...SendOption) error {
	out := &Outgoing{Spec: p.route.spec, Message: msg, options: collectSend(opts), life: ctx}
	return opError("send", p.route.spec, p.send(ctx, out).conclude(ctx))
}

// SendAsync hands msg to the transport and returns; the receipt resolves with the broker's answer. msg is encoded before
// SendAsync returns and may be reused. ctx bounds the wait for a place in the window of unconfirmed sends; after that its end
// is ignored, and send_timeout bounds the send.
func (p *Publisher[M]) SendAsync(ctx context.Context, msg M, opts ...SendOption) *Receipt {
	out := &Outgoing{Spec: p.route.spec, Message: msg, options: collectSend(opts), life: background(ctx), Async: true}
	r := p.send(ctx, out)
	if f := p.rt.sendError; f != nil {
		r.Then(func(err error) {
			if err != nil {
				f(p.route.spec, r.ID(), err)
			}
		})
	}
	return r
}

// sender is the send path of one route: interceptors, then the wire.
func (rt *Runtime) sender(r *route, o publisherOptions) SendFunc {
	interceptors := append(slices.Clip(rt.interceptors), o.interceptors...)
	wire := func(ctx context.Context, out *Outgoing) *Receipt { return rt.dispatch(ctx, r, out) }
	chain := chainSend(interceptors, r.observed(wire))
	return func(ctx context.Context, out *Outgoing) *Receipt {
		if r.err != nil {
			return FailedReceipt("", r.err)
		}
		if err := rt.address(r, out); err != nil {
			return r.refused(ctx, out, err)
		}
		return chain(ctx, out)
	}
}

// address fills in what the options and the annotated fields say: id, key, headers.
func (rt *Runtime) address(r *route, out *Outgoing) error {
	o := &out.options
	if o.err != nil {
		return o.err
	}
	if !out.Message.ProtoReflect().IsValid() {
		return fmt.Errorf("%w: the message is nil", ErrInvalid)
	}
	spec := r.spec
	out.Topic = r.topic
	switch {
	case o.id != "":
		out.ID = o.id
	case spec.MessageID != nil:
		out.ID = spec.MessageID(out.Message)
	}
	if out.ID == "" {
		id, err := newMessageID()
		if err != nil {
			return err
		}
		out.ID = id
	} else if err := checkMessageID(out.ID); err != nil {
		return err
	}
	switch {
	case o.hasKey:
		out.Key = o.key
	case spec.Key != nil:
		out.Key = spec.Key(out.Message)
	}
	if err := checkKey(out.Key); err != nil {
		return err
	}
	if out.Key == "" && r.order != nil {
		return ErrNoKey
	}
	out.Headers = o.headers
	if spec.Headers != nil {
		for _, h := range spec.Headers(out.Message) {
			if h.Value == "" || len(out.Headers[h.Name]) > 0 {
				continue
			}
			if out.Headers == nil {
				out.Headers = make(Headers)
			}
			out.Headers[h.Name] = []string{h.Value}
		}
	}
	return nil
}

// dispatch validates, encodes and hands over.
func (rt *Runtime) dispatch(ctx context.Context, r *route, out *Outgoing) *Receipt {
	fail := func(err error) *Receipt { return FailedReceipt(out.ID, err) }
	now := out.created
	if now.IsZero() {
		now = time.Now()
	}
	if rt.validate != nil {
		if err := rt.validate(out.Message); err != nil {
			return fail(fmt.Errorf("%w: %w", ErrInvalid, err))
		}
	}
	p, expires, err := r.publication(now, out)
	if err != nil {
		return fail(err)
	}
	msg, err := rt.encode(r, out, now, p.Delay, expires)
	if err != nil {
		return fail(err)
	}
	r.encoded(out, msg)
	if deadline, ok := ctx.Deadline(); ok && !out.Async && deadline.Before(p.Deadline) {
		p.Deadline = deadline
	}
	if !rt.beginSend() {
		return fail(ErrClosed)
	}
	if err := r.ensureQueue(ctx, rt, p.Deadline); err != nil {
		rt.endSend()
		return fail(err)
	}
	msg.SetContext(out.life)
	receipt := newReceipt(out.ID)
	if r.order != nil {
		r.order.add(out.Key, receipt)
	}
	finish := func(err error) {
		// Where the broker's topology is broken, nobody can tell who would have wanted the event.
		if r.spec.Kind == KindEvent && errors.Is(err, ErrUnroutable) && !errors.Is(err, ErrTopology) {
			rt.counters.unrouted.Add(1)
			err = nil
		}
		if r.order != nil {
			r.order.resolve(out.Key, receipt, err)
		} else {
			receipt.resolve(err)
		}
		rt.endSend()
	}
	if err := r.link.sender.Send(ctx, p, msg, finish); err != nil {
		finish(err)
	}
	return receipt
}

// publication says where the message goes, and when it expires.
func (r *route) publication(now time.Time, out *Outgoing) (transport.Publication, time.Time, error) {
	o := &out.options
	p := transport.Publication{
		Topic:      r.topic,
		RoutingKey: r.spec.Type,
		Key:        out.Key,
		Mandatory:  r.link.caps.Mandatory != transport.None,
		Deadline:   now.Add(r.settings.sendTimeout),
		NoWait:     o.noWait,
		Given:      true,
		Delay:      o.delay,
	}
	if !o.deliverAt.IsZero() {
		p.Delay = max(o.deliverAt.Sub(now), 0)
		if err := checkDelay("WithDeliverAt", p.Delay); err != nil {
			return p, time.Time{}, err
		}
	}
	if p.Delay > 0 && r.spec.Kind == KindRequest {
		return p, time.Time{}, errors.New("a request cannot be delayed; use a command")
	}
	if p.Delay > 0 && r.link.caps.Delay == transport.None {
		return p, time.Time{}, fmt.Errorf("%w: %s cannot delay a message", ErrUnsupported, r.link.caps.System)
	}
	ttl := r.settings.ttl
	if o.ttl > 0 {
		ttl = o.ttl
	}
	if ttl > 0 {
		p.Expires = now.Add(p.Delay + ttl)
	}
	if call := out.call; call != nil && (p.Expires.IsZero() || call.deadline.Before(p.Expires)) {
		p.Expires = call.deadline
	}
	return p, p.Expires, nil
}

// encode makes the wire message.
func (rt *Runtime) encode(r *route, out *Outgoing, now time.Time, delay time.Duration, expires time.Time) (*message.Message, error) {
	payload, err := r.settings.codec.marshal(out.Message)
	if err != nil {
		return nil, fmt.Errorf("%w: encode: %w", ErrInvalid, err)
	}
	if int64(len(payload)) > r.settings.maxMessageBytes {
		return nil, fmt.Errorf("%w: the message has %d bytes, max_message_bytes is %d", ErrTooLarge, len(payload), r.settings.maxMessageBytes)
	}
	more := len(out.Metadata) + len(out.Headers)
	if out.Key != "" {
		more += 2 // key and subject
	}
	if !expires.IsZero() {
		more++
	}
	if delay > 0 {
		more++
	}
	if out.call != nil {
		more += 2 // where the reply goes
	}
	if out.observation != nil {
		more += 2 // trace context
	}
	md := rt.envelope(r, out.ID, r.spec.Type, now, more)
	payload = r.settings.compress(payload, md)
	maps.Copy(md, out.Metadata)
	if err := out.Headers.write(md, ""); err != nil {
		return nil, err
	}
	if out.Key != "" {
		md[transport.MetaKey] = out.Key
		md[transport.MetaSubject] = out.Key
	}
	if !expires.IsZero() {
		md[transport.MetaDeadline] = transport.FormatInstant(expires)
	}
	if delay > 0 {
		md[transport.MetaDueAt] = transport.FormatInstant(now.Add(delay))
	}
	if call := out.call; call != nil {
		md[transport.MetaReplyTo] = call.replyTo
		md[transport.MetaCorrelationID] = call.correlationID
	}
	// Nobody acks what is sent, so it does without the channels of message.NewMessage.
	return &message.Message{UUID: out.ID, Payload: payload, Metadata: md}, nil
}
