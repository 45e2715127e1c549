package async

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/runtime/transport"
)

// delivery is one message as handed to this runtime, from the queue of its feed to its settlement.
type delivery struct {
	feed    *feed
	d       transport.Delivery
	msg     *message.Message
	life    context.Context // ends when the broker takes the delivery back
	base    context.Context // the parent of the handler's contexts, once somebody has asked
	attempt int
	in      *Incoming
	ended   bool        // its handler ended its goroutine: the verdict on that is still to be given
	settled atomic.Bool // pull and batch: a verdict was given
	decided func(error) // pull: hears what became of the verdict; may be nil

	observation atomic.Pointer[observation] // nil when nobody observes
	unobserved  bool                        // the observer did not want to hear of its handling

	firstFailure time.Time // in this process
	heldSince    time.Time // when the broker first did not take what becomes of the message
}

// parent is the parent of the handler's contexts.
func (x *delivery) parent() context.Context {
	if x.base == nil {
		x.base = x.feed.lifelines.of(x.feed.ctx, x.life)
	}
	return x.base
}

// lost reports whether the broker has taken the delivery back.
func (x *delivery) lost() bool { return x.life.Err() != nil }

// settle tells the broker. It is called once for each delivery that the driver handed out.
func (x *delivery) settle(o transport.Outcome) {
	if !x.heldSince.IsZero() {
		x.feed.held.Add(-1)
	}
	op := x.observeSettle(o)
	x.d.Settle(o, func(err error) {
		if op != nil {
			op.End(Result{Err: err})
		}
		if err != nil && !errors.Is(err, ErrDeliveryLost) {
			x.feed.b.rt.log.WarnContext(x.logContext(), "a settlement failed: the message will come again", x.logArgs("outcome", o.String(), "error", err)...)
		}
		x.decide(err)
		x.feed.open.Done()
	})
}

func (x *delivery) decide(err error) {
	if x.decided != nil {
		x.decided(err)
	}
}

// requeue gives the delivery back. One of an ordered group is left to the close of its consumption, which gives back all at
// once and in order: put back one by one, and handed out again meanwhile, some would overtake others.
func (x *delivery) requeue() {
	if x.feed.b.sub.Ordered && x.feed.isDraining() {
		x.became(FateRequeue)
		x.decide(nil)
		x.feed.open.Done()
		return
	}
	x.settle(transport.Requeue)
}

func (x *delivery) logArgs(more ...any) []any {
	b := x.feed.b
	return append([]any{"rpc", b.route.name, "group", b.sub.Group, "message_id", sanitize(x.id()), "attempt", x.attempt}, more...)
}

func (x *delivery) id() string {
	if id := x.msg.Metadata[transport.MetaID]; id != "" {
		return id
	}
	return x.msg.UUID
}

// process handles a delivery: attempts until there is a verdict, then the verdict.
func (x *delivery) process() {
	f := x.feed
	if x.ended {
		x.ended = false
		if again := x.concludeGoexit(); !again {
			return
		}
	}
	for {
		switch {
		case x.lost():
			x.requeue()
			return
		case f.isStopping():
			f.giveBack(x)
			return
		case x.pending(), x.expired():
			return
		}
		x.beginPush()
		produced, verdict := x.attemptOnce()
		if again := x.conclude(verdict, produced); !again {
			return
		}
	}
}

// expired drops a message whose deadline has passed.
func (x *delivery) expired() bool {
	deadline := transport.ParseInstant(x.msg.Metadata[transport.MetaDeadline])
	if deadline.IsZero() || time.Now().Before(deadline) {
		return false
	}
	rt := x.feed.b.rt
	rt.counters.expired.Add(1)
	rt.log.InfoContext(x.logContext(), "a message expired before it was handled", x.logArgs("deadline", deadline)...)
	x.settle(transport.Ack)
	return true
}

// prepare decodes a delivery that no wire handler decodes: a pulled one, or an entry of a batch. It returns false when nobody
// may see it, because it has expired or is unfit, and has settled it then.
func (x *delivery) prepare() bool {
	if x.pending() || x.expired() {
		return false
	}
	in, failure := x.feed.b.decode(x.msg)
	if failure != nil {
		x.conclude(failure, nil)
		return false
	}
	in.Info.Attempt = x.attempt
	x.in = in
	return true
}

// attemptOnce calls the handler with everything around it.
func (x *delivery) attemptOnce() (produced []*message.Message, verdict error) {
	ctx, release := x.context()
	finished := false
	defer func() {
		ctx.end(nil)
		release()
		switch r := recover(); {
		case r != nil:
			produced, verdict = nil, x.panicked(r)
			if x.feed.b.route.spec.Kind == KindRequest {
				x.answered(verdict)
				produced, verdict = x.answer(nil, NewError(CodeInternal, "the handler panicked"))
			}
		case !finished:
			// Nothing after this function runs: the verdict is given by who works on in this goroutine's place.
			x.exited()
			x.ended = true
		}
	}()
	if len(x.feed.b.rt.middleware) == 0 {
		x.msg.SetContext(ctx)
		produced, verdict = x.feed.b.wire(x.msg)
		finished = true
		return produced, verdict
	}
	// A middleware may write to the message, and ack it: each attempt has one of its own.
	msg := x.msg.Copy()
	msg.SetContext(ctx)
	produced, verdict = x.feed.b.wire(msg)
	finished = true
	select {
	case <-msg.Acked():
		verdict = nil
	case <-msg.Nacked():
		if verdict == nil {
			verdict = errNacked
		}
	default:
	}
	return produced, verdict
}

var errNacked = errors.New("nacked by a middleware")

type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// ErrorType is the error.type of telemetry.
func (*panicError) ErrorType() string { return "async.panic" }

// panicked logs a handler's panic with its stack, which goes nowhere else, and returns it as an error.
func (x *delivery) panicked(value any) error {
	x.feed.b.rt.log.ErrorContext(x.logContext(), "a handler panicked", x.logArgs("panic", sanitize(fmt.Sprint(value)), "stack", string(debug.Stack()))...)
	return &panicError{value: value}
}

// errGoexit is the verdict of a handler that ended its goroutine.
var errGoexit = errors.New("the handler ended its goroutine")

// exited logs where a handler ended its goroutine.
func (x *delivery) exited() {
	x.feed.b.rt.log.ErrorContext(x.logContext(), "a handler ended its goroutine", x.logArgs("stack", string(debug.Stack()))...)
}

// concludeGoexit gives the verdict that the handler could not return.
func (x *delivery) concludeGoexit() (again bool) {
	if x.feed.b.route.spec.Kind != KindRequest {
		return x.conclude(errGoexit, nil)
	}
	x.answered(errGoexit)
	produced, verdict := x.answer(nil, NewError(CodeInternal, "%s", errGoexit.Error()))
	return x.conclude(verdict, produced)
}

// context is the handler's: it has the values of Run's context, the Info, and ends when the delivery is lost, when a drain
// can wait no longer, or, for a request, at its deadline. Whoever asked for it calls release when the call is over.
func (x *delivery) context() (ctx *handlerContext, release context.CancelFunc) {
	ctx = &handlerContext{Context: x.attemptContext(x.parent(), x.observation.Load()), delivery: x}
	release = func() {}
	if x.feed.b.route.spec.Kind == KindRequest {
		ctx.reply = new(replyHeaders)
		if deadline := transport.ParseInstant(x.msg.Metadata[transport.MetaDeadline]); !deadline.IsZero() {
			ctx.Context, release = context.WithDeadline(ctx.Context, deadline)
		}
	}
	return ctx, release
}

// handleWire is the innermost of the wire form: decode, validate, handle.
func (b *binding) handleWire(msg *message.Message) ([]*message.Message, error) {
	ctx := msg.Context()
	in, failure := b.decode(msg)
	call := callOf(ctx)
	if call != nil && in != nil {
		in.Info.Attempt = call.delivery.attempt
		call.info = in.Info
	}
	request := b.route.spec.Kind == KindRequest
	if failure != nil {
		if !request {
			return nil, failure
		}
		reply, err := b.rt.encodeReply(b.route, msg, nil, NewError(CodeInvalidArgument, "%s", failure.Error()), nil)
		if err != nil {
			return nil, failure
		}
		return []*message.Message{reply}, failure
	}
	if call == nil {
		ctx = context.WithValue(ctx, infoKey{}, in.Info)
	}
	reply, err := b.handle(ctx, in)
	if !request {
		return nil, err
	}
	if call != nil {
		call.delivery.answered(err)
	}
	out, err := b.reply(ctx, msg, reply, err)
	if err != nil {
		return nil, err
	}
	return []*message.Message{out}, nil
}

// reply encodes a request's answer. What cannot be encoded becomes an error for the caller.
func (b *binding) reply(ctx context.Context, msg *message.Message, reply proto.Message, failure error) (*message.Message, error) {
	headers, _ := ctx.Value(replyHeadersKey{}).(*replyHeaders)
	if failure == nil && (reply == nil || !reply.ProtoReflect().IsValid()) {
		failure = NewError(CodeInternal, "the handler returned neither a reply nor an error")
	}
	out, err := b.rt.encodeReply(b.route, msg, reply, failure, headers)
	if err == nil {
		return out, nil
	}
	var refused *Error
	if !errors.As(err, &refused) {
		refused = NewError(CodeInternal, "the reply cannot be encoded")
		b.rt.log.Error("a reply cannot be encoded", "rpc", b.route.spec.Name(), "error", err)
	}
	return b.rt.encodeReply(b.route, msg, nil, refused, nil)
}

// answer is reply for the paths on which the handler did not return.
func (x *delivery) answer(reply proto.Message, failure error) ([]*message.Message, error) {
	out, err := x.feed.b.reply(context.Background(), x.msg, reply, failure)
	if err != nil {
		return nil, err
	}
	return []*message.Message{out}, nil
}

// The reasons of dead letters, as async-dead-reason tells them.
const (
	reasonNoID        = "no-id"
	reasonWrongType   = "wrong-type"
	reasonTooLarge    = "too-large"
	reasonUndecodable = "undecodable"
	reasonInvalid     = "invalid"
	reasonRejected    = "rejected"
	reasonAttempts    = "max-attempts"
	reasonRetryTime   = "retry-time" // ordered by key, and tried for as long as a lane may be held
)

// unfitError is a message that no handler may see: it is dead-lettered at once.
type unfitError struct {
	reason string
	err    error
}

func (e *unfitError) Error() string { return e.reason + ": " + e.err.Error() }
func (e *unfitError) Unwrap() error { return e.err }

// ErrorType is the error.type of telemetry.
func (e *unfitError) ErrorType() string {
	if e.reason == reasonUndecodable {
		return "async.unmarshal"
	}
	return "async." + strings.ReplaceAll(e.reason, "-", "_")
}

// decode checks and decodes a message. Nothing reaches a handler by its looks alone: an empty payload, or one of another
// type, decodes without error.
func (b *binding) decode(msg *message.Message) (*Incoming, error) {
	spec, md := b.route.spec, msg.Metadata
	unfit := func(reason, format string, args ...any) (*Incoming, error) {
		return nil, &unfitError{reason: reason, err: fmt.Errorf(format, args...)}
	}
	if md[transport.MetaID] == "" && msg.UUID == "" {
		return unfit(reasonNoID, "the message has no id")
	}
	if have := md[transport.MetaType]; have != spec.Type && !slices.Contains(spec.TypeAliases, have) {
		return unfit(reasonWrongType, "the message is of type %q, this subscription takes %q", sanitize(have), spec.Type)
	}
	if size := int64(len(msg.Payload)); size > b.route.settings.maxMessageBytes {
		return unfit(reasonTooLarge, "the message has %d bytes, max_message_bytes is %d", size, b.route.settings.maxMessageBytes)
	}
	payload, err := transport.Decompress(md[transport.MetaEncoding], msg.Payload, b.route.settings.maxMessageBytes)
	if errors.Is(err, ErrTooLarge) {
		return unfit(reasonTooLarge, "%w", err)
	}
	if err != nil {
		return unfit(reasonUndecodable, "%w", err)
	}
	input := spec.Input()
	if err := unmarshal(md[transport.MetaContentType], payload, input); err != nil {
		return unfit(reasonUndecodable, "%w", err)
	}
	if b.rt.validate != nil {
		if err := b.rt.validate(input); err != nil {
			return unfit(reasonInvalid, "%w", err)
		}
	}
	info := readInfo(msg)
	info.RPC, info.Topic, info.Group = b.route.name, b.sub.Topic, b.sub.Group
	info.MaxAttempts = b.route.settings.retry.maxAttempts
	return &Incoming{Spec: spec, Message: input, Info: info, Metadata: md}, nil
}
