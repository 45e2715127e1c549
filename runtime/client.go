package async

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/runtime/transport"
)

// Client calls one request rpc. Generated clients hold one for each rpc. It is safe for concurrent use.
type Client[Req, Res proto.Message] struct {
	route *route
	rt    *Runtime
	send  SendFunc
}

// NewClient binds spec. It never fails: a wrong binding is the error of every call and of Run.
func NewClient[Req, Res proto.Message](rt *Runtime, spec *Spec, opts ...ClientOption) *Client[Req, Res] {
	var o publisherOptions
	for _, opt := range opts {
		opt.applyClient(&o)
	}
	r := rt.route(spec)
	return &Client[Req, Res]{route: r, rt: rt, send: rt.sender(r, o)}
}

// Call sends req and waits for the reply. The deadline is that of ctx or the rpc's timeout, whichever is first; it travels
// with the request. The error is an [*Error] from the handler or of the deadline, or that of the send ([ErrUnroutable] when
// nobody consumes the rpc).
func (c *Client[Req, Res]) Call(ctx context.Context, req Req, opts ...SendOption) (Res, error) {
	return c.CallAsync(ctx, req, opts...).Wait(ctx)
}

// CallAsync sends req and returns; the Call resolves with the reply. req is encoded before CallAsync returns. ctx governs
// the whole call.
func (c *Client[Req, Res]) CallAsync(ctx context.Context, req Req, opts ...SendOption) *Call[Res] {
	s := &callState{spec: c.route.spec, limit: c.route.settings.maxMessageBytes, done: make(chan struct{})}
	call := &Call[Res]{state: s}
	if c.route.err != nil {
		s.resolve(nil, nil, c.route.err)
		return call
	}
	ctx = s.observe(ctx, &c.route.observer)
	s.deadline = time.Now().Add(c.route.settings.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(s.deadline) {
		s.deadline = d
	}
	if err := ctx.Err(); err != nil {
		s.resolve(nil, nil, contextError(err))
		return call
	}
	inbox := &c.route.link.inbox
	if err := inbox.open(ctx, c.rt); err != nil {
		s.resolve(nil, nil, fmt.Errorf("open the reply inbox: %w", err))
		return call
	}
	inbox.expect(s)
	out := &Outgoing{Spec: c.route.spec, Message: req, options: collectSend(opts), life: ctx, call: s}
	stop := context.AfterFunc(ctx, func() { s.resolve(nil, nil, contextError(ctx.Err())) })
	timer := time.AfterFunc(time.Until(s.deadline), func() { s.resolve(nil, nil, contextError(context.DeadlineExceeded)) })
	s.onDone(func() {
		stop()
		timer.Stop()
		inbox.forget(s)
	})
	c.send(ctx, out).Then(func(err error) {
		if err != nil {
			s.resolve(nil, nil, err)
		}
	})
	return call
}

// Call is a request that is under way. Its methods may be called from many goroutines at once.
type Call[Res proto.Message] struct{ state *callState }

// Done returns a channel that is closed when the call has ended.
func (c *Call[Res]) Done() <-chan struct{} { return c.state.done }

// Wait waits for the reply. When ctx ends first, the error is an [*Error] with [CodeCanceled] or [CodeDeadlineExceeded], and the
// call itself goes on.
func (c *Call[Res]) Wait(ctx context.Context) (Res, error) {
	s := c.state
	select {
	case <-s.done:
	default:
		select {
		case <-s.done:
		case <-ctx.Done():
			var none Res
			return none, opError("call", s.spec, contextError(ctx.Err()))
		}
	}
	if s.err != nil {
		var none Res
		return none, opError("call", s.spec, s.err)
	}
	res, ok := s.reply.(Res)
	if !ok {
		return res, opError("call", s.spec, fmt.Errorf("the reply is a %T", s.reply))
	}
	return res, nil
}

// Info returns what is known of the reply: its headers, trailers, times; nil until the call has ended, and when no reply came.
func (c *Call[Res]) Info() *Info {
	select {
	case <-c.state.done:
		return c.state.info
	default:
		return nil
	}
}

// callState is one call waiting for its reply.
type callState struct {
	spec          *Spec
	limit         int64 // bytes of a reply
	deadline      time.Time
	correlationID string
	replyTo       string

	mu    sync.Mutex
	ended bool
	after []func()

	observer *Observer // of the route
	op       Operation // the call; nil when it is not observed

	done  chan struct{} // closed after the fields below were set
	reply proto.Message
	info  *Info
	err   error
}

// onDone calls f when the call has ended, at once if it has.
func (s *callState) onDone(f func()) {
	s.mu.Lock()
	if !s.ended {
		s.after = append(s.after, f)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	f()
}

// resolve ends the call; only the first one counts.
func (s *callState) resolve(reply proto.Message, info *Info, err error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	s.reply, s.info, s.err = reply, info, err
	after := s.after
	s.after = nil
	s.mu.Unlock()
	s.observed(err)
	close(s.done)
	for _, f := range after {
		f()
	}
}

// receive resolves the call with a reply from the wire.
func (s *callState) receive(d transport.Delivery) {
	msg := d.Message()
	s.replied(msg, d)
	info := readInfo(msg)
	info.RPC = s.spec.Name()
	info.Headers = readHeaders(msg.Metadata, transport.PrefixHeader)
	info.Trailers = readHeaders(msg.Metadata, transport.PrefixTrailer)
	payload, err := transport.Decompress(msg.Metadata[transport.MetaEncoding], msg.Payload, s.limit)
	switch {
	case errors.Is(err, ErrTooLarge):
		s.resolve(nil, info, NewError(CodeResourceExhausted, "the reply is larger than max_message_bytes: %w", err))
		return
	case err != nil:
		s.resolve(nil, info, NewError(CodeInternal, "the reply cannot be decoded: %w", err))
		return
	}
	if err := readStatus(msg.Metadata, payload); err != nil {
		s.resolve(nil, info, err)
		return
	}
	reply := s.spec.Output()
	if want, have := string(reply.ProtoReflect().Descriptor().FullName()), msg.Metadata[transport.MetaType]; have != want {
		s.resolve(nil, info, NewError(CodeInternal, "the reply is of type %q, want %q", sanitize(have), want))
		return
	}
	if err := unmarshal(msg.Metadata[transport.MetaContentType], payload, reply); err != nil {
		s.resolve(nil, info, NewError(CodeInternal, "the reply cannot be decoded: %w", err))
		return
	}
	s.resolve(reply, info, nil)
}
