package async

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// conclude carries out a verdict. It returns true when the caller shall handle the delivery again, now.
func (x *delivery) conclude(verdict error, produced []*message.Message) (again bool) {
	x.handled(verdict)
	switch {
	case x.lost():
		x.requeue()
	case x.interrupted(verdict):
		x.feed.giveBack(x)
	case x.feed.b.route.spec.Kind == KindRequest:
		x.concludeRequest(verdict, produced)
	case verdict == nil && len(produced) > 0:
		go x.sendProduced(produced)
	case verdict == nil:
		x.settle(transport.Ack)
	default:
		return x.concludeFailure(verdict)
	}
	return false
}

// concludeFailure carries out what the handler's error says.
func (x *delivery) concludeFailure(failure error) (again bool) {
	b := x.feed.b
	var said verdict
	if !errors.As(failure, &said) {
		if !errors.Is(failure, ErrUnimplemented) {
			return x.retry(failure, nil)
		}
		b.rt.log.ErrorContext(x.logContext(), "a handler is not implemented: the binding is paused", x.logArgs()...)
		b.pause(ErrUnimplemented)
		x.requeue()
		return false
	}
	switch v := said.(type) {
	case *retryAfterError:
		return x.retry(failure, &v.delay)
	case *unfitError:
		x.deadLetter(v.reason, v.err)
	case *rejectError:
		x.deadLetter(reasonRejected, v.err)
	case *dropError:
		b.rt.counters.dropped.Add(1)
		b.rt.log.InfoContext(x.logContext(), "a handler dropped a message", x.logArgs("reason", sanitize(v.reason))...)
		x.settle(transport.Ack)
	}
	return false
}

// interrupted reports whether the handler ended because the program stops: that is no attempt. Its context may be one of the
// program's own, so it need not have waited for the end of the drain.
func (x *delivery) interrupted(verdict error) bool {
	if verdict == nil || !x.feed.isStopping() {
		return false
	}
	return errors.Is(verdict, context.Canceled) || errors.Is(verdict, ErrDrainTimeout) || CodeOf(verdict) == CodeCanceled
}

// concludeRequest sends the reply and takes the request off its queue, whatever the reply's fate: a request is never tried
// again. One that could not be decoded is kept as a dead letter too.
func (x *delivery) concludeRequest(verdict error, produced []*message.Message) {
	var unfit *unfitError
	isUnfit := errors.As(verdict, &unfit)
	if verdict != nil && !isUnfit {
		produced, _ = x.answer(nil, verdict)
	}
	x.sendReply(produced, func() {
		if isUnfit {
			x.deadLetter(unfit.reason, unfit.err)
			return
		}
		x.settle(transport.Ack)
	})
}

// sendReply sends the first of produced to the caller and calls then in every case.
func (x *delivery) sendReply(produced []*message.Message, then func()) {
	rt := x.feed.b.rt
	address := replyAddress(x.msg.Metadata)
	if len(produced) == 0 || address == "" {
		if named := x.msg.Metadata[transport.MetaReplyTo]; named != address {
			rt.counters.lostReplies.Add(1)
			rt.log.WarnContext(x.logContext(), "a reply was not sent: its address is no caller's", x.logArgs("address", sanitize(named))...)
		}
		then()
		return
	}
	p := x.publication()
	p.Topic, p.Direct = address, true
	p.Key = ""
	if deadline := transport.ParseInstant(x.msg.Metadata[transport.MetaDeadline]); !deadline.IsZero() && deadline.Before(p.Deadline) {
		p.Deadline = deadline
	}
	reply := produced[0]
	reply.SetContext(context.Background())
	x.resend(PurposeReply, p, reply, func(err error) {
		if err != nil {
			rt.counters.lostReplies.Add(1)
			rt.log.WarnContext(x.logContext(), "a reply was not delivered", x.logArgs("error", err)...)
		}
		then()
	})
}

// produceTopic is where a middleware says which topic a message that it produced goes to.
const produceTopic = transport.PrefixAsync + "produce-topic"

var errNoProduceTopic = errors.New("a middleware produced a message without the metadata " + produceTopic)

// sendProduced sends what middlewares produced, and acks the delivery when all of it is stored.
func (x *delivery) sendProduced(produced []*message.Message) {
	rt := x.feed.b.rt
	done := make(chan error, len(produced))
	for _, msg := range produced {
		topic := msg.Metadata[produceTopic]
		if topic == "" {
			done <- errNoProduceTopic
			continue
		}
		if err := checkTopic(topic); err != nil {
			done <- err
			continue
		}
		p := x.publication()
		out := msg.Copy()
		delete(out.Metadata, produceTopic)
		p.Topic, p.RoutingKey, p.Key, p.Mandatory = rt.physical(topic), out.Metadata[transport.MetaType], out.Metadata[transport.MetaKey], false
		x.resend(PurposeProduce, p, out, func(err error) { done <- err })
	}
	var errs []error
	for range produced {
		errs = append(errs, <-done)
	}
	if err := errors.Join(errs...); err != nil {
		rt.log.ErrorContext(x.logContext(), "what a middleware produced was not sent: the message goes back", x.logArgs("error", err)...)
		x.requeueLater()
		return
	}
	x.settle(transport.Ack)
}

// publication is where a message that the runtime itself sends goes: to this delivery's own group.
func (x *delivery) publication() transport.Publication {
	b := x.feed.b
	return transport.Publication{
		Topic:      b.sub.Topic,
		Group:      "",
		RoutingKey: x.msg.Metadata[transport.MetaType],
		Key:        x.msg.Metadata[transport.MetaKey],
		Mandatory:  b.route.link.caps.Mandatory != transport.None,
		Expires:    transport.ParseInstant(x.msg.Metadata[transport.MetaDeadline]),
		Deadline:   time.Now().Add(b.route.settings.sendTimeout),
		Given:      len(b.rt.middleware) == 0, // a middleware may keep what it has produced
	}
}

// sendInternal sends a message of the runtime's own. done is called exactly once, also when the runtime is closed. It does not
// wait: where the transport's window is full, a goroutine does.
func (rt *Runtime) sendInternal(l *link, p transport.Publication, msg *message.Message, done func(error)) {
	if !rt.beginSend() {
		done(ErrClosed)
		return
	}
	finish := func(err error) {
		done(err)
		rt.endSend()
	}
	send := func() error { return l.sender.Send(context.Background(), p, msg, finish) }
	p.NoWait = true
	err := send()
	switch {
	case errors.Is(err, ErrBacklog):
		p.NoWait = false
		go func() {
			if err := send(); err != nil {
				finish(err)
			}
		}()
	case err != nil:
		finish(err)
	}
}

// slowPause is the least time that a message waits that could be neither handled nor moved, so that it does not spin; it
// waits up to twice as long.
const slowPause = time.Second

// requeueLater gives the delivery back, but not at once.
func (x *delivery) requeueLater() { x.hold(slowPause+rand.N(slowPause), x.requeue) }

// holdOn tries after a pause to store what the broker did not take. The delivery stays here meanwhile: given back it would
// be handled again, beyond its last attempt. It goes back in the end, before the broker takes it.
func (x *delivery) holdOn(again func()) {
	if x.heldSince.IsZero() {
		x.heldSince = time.Now()
		x.feed.held.Add(1)
	}
	if time.Since(x.heldSince) >= laneBudget {
		x.requeue()
		return
	}
	x.hold(slowPause+rand.N(slowPause), again)
}

// hold keeps the delivery for a while and then calls f; a drain, or the loss of the delivery, gives it back at once.
func (x *delivery) hold(d time.Duration, f func()) {
	go func() {
		if x.wait(d) {
			f()
		} else {
			x.feed.giveBack(x)
		}
	}()
}

// wait returns true after d, and false when the feed drains or the delivery is lost before.
func (x *delivery) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.feed.draining:
		return false
	case <-x.life.Done():
		return false
	}
}
