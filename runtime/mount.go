package async

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// MountOn adds every handler that is registered so far to a Watermill router, which then consumes them with its own plugins,
// middlewares and semantics: an error nacks, and the broker hands the message out again at once; retries and dead letters are
// the router's middlewares. Batch handlers cannot be mounted. What is mounted is not consumed by Run. The router closes neither
// the runtime nor its transports: close the router first.
func (rt *Runtime) MountOn(router *message.Router) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.phase != phaseIdle {
		return fmt.Errorf("async: mount: %w", ErrRunning)
	}
	var errs []error
	for _, b := range rt.bindings {
		if b.mounted || b.mode == modePull {
			continue
		}
		if b.mode == modeBatch {
			errs = append(errs, opError("mount", b.route.spec, fmt.Errorf("%w: a batch handler on a Watermill router", ErrUnsupported)))
			continue
		}
		sub, err := b.route.link.transport.Subscriber(b.sub)
		if err != nil {
			errs = append(errs, opError("mount", b.route.spec, err))
			continue
		}
		b.mounted = true
		name := b.name()
		if b.route.spec.Kind == KindRequest {
			router.AddHandler(name, b.sub.Topic, sub, "async.reply", replyPublisher{rt: rt, link: b.route.link}, b.mountRequest)
			continue
		}
		router.AddConsumerHandler(name, b.sub.Topic, sub, func(msg *message.Message) error {
			_, _, err := b.hosted(msg)
			return err
		})
	}
	return errors.Join(errs...)
}

// hosted is the wire handler on a router, under observation. What becomes of the message is the router's matter.
func (b *binding) hosted(msg *message.Message) (produced []*message.Message, op Operation, err error) {
	if msg.Metadata[transport.MetaDeadPending] != "" {
		return nil, nil, b.bury(msg)
	}
	if b.observer.Process == nil {
		produced, err = b.wire(msg)
		return produced, nil, err
	}
	ctx := msg.Context()
	attempt := readAttempt(msg.Metadata)
	op = b.observer.Process(ctx, &Receiving{Start: time.Now(), Deliveries: []ReceivedDelivery{{Message: msg, Attempt: attempt}}})
	if op == nil {
		produced, err = b.wire(msg)
		return produced, nil, err
	}
	msg.SetContext(op.Context(ctx))
	err = errGoexit
	defer func() { op.End(Result{Err: err, Attempt: attempt, Tries: 1}) }()
	produced, err = b.wire(msg)
	return produced, op, err
}

// mountRequest gives the router the reply, addressed, to publish.
func (b *binding) mountRequest(msg *message.Message) ([]*message.Message, error) {
	msg.SetContext(context.WithValue(msg.Context(), replyHeadersKey{}, new(replyHeaders)))
	produced, op, err := b.hosted(msg)
	if len(produced) == 0 {
		return nil, err
	}
	address := replyAddress(msg.Metadata)
	if address == "" {
		return nil, nil
	}
	produced[0].Metadata[transport.MetaReplyTo] = address
	if b.observer.Resend != nil {
		answer := &hostedReply{binding: b, cause: msg, op: op}
		produced[0].SetContext(context.WithValue(produced[0].Context(), hostedReplyKey{}, answer))
	}
	return produced[:1], nil
}

// hostedReply is where a reply comes from, for whoever observes how it is sent.
type hostedReply struct {
	binding *binding
	cause   *message.Message
	op      Operation // of the handling; nil if that is not observed
}

type hostedReplyKey struct{}

// replyPublisher sends each message to the address in its own metadata. Its Close does nothing: a router closes the publishers
// of its handlers, and this one belongs to the runtime.
type replyPublisher struct {
	rt   *Runtime
	link *link
}

// Publish implements [message.Publisher]; the topic means nothing.
func (p replyPublisher) Publish(_ string, messages ...*message.Message) error {
	var errs []error
	for _, msg := range messages {
		out := msg.Copy()
		address := out.Metadata[transport.MetaReplyTo]
		delete(out.Metadata, transport.MetaReplyTo)
		done := make(chan error, 1)
		sent := func(err error) { done <- err }
		to := transport.Publication{
			Topic: address, Direct: true, RoutingKey: out.Metadata[transport.MetaType], Mandatory: p.link.caps.Mandatory != transport.None,
		}
		if r, ok := msg.Context().Value(hostedReplyKey{}).(*hostedReply); ok {
			sent = r.binding.observer.resending(&Resending{Purpose: PurposeReply, Publication: to, Message: out, Cause: r.cause, Parent: r.op}, sent)
		}
		p.rt.sendInternal(p.link, to, out, sent)
		if err := <-done; err != nil && !errors.Is(err, ErrUnroutable) {
			errs = append(errs, err)
		} else if err != nil {
			p.rt.counters.lostReplies.Add(1)
		}
	}
	return errors.Join(errs...)
}

// Close implements [message.Publisher].
func (replyPublisher) Close() error { return nil }
