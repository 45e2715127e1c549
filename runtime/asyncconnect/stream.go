package asyncconnect

import (
	"context"
	"errors"
	"io"
	"sync"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	async "github.com/asyncpb/async/runtime"
)

// clientStream is one unary call. Send hands the message over, Receive waits for what became of it.
type clientStream struct {
	rpc    *rpc
	ctx    context.Context //nolint:containedctx // a stream is a call, and Send and Receive are its two halves
	cancel context.CancelFunc
	info   *connect.CallInfo

	ended sync.Once
	sent  chan struct{} // closed when the fields below are set
	call  *async.Call[proto.Message]
	err   error

	sending, received bool
}

func newClientStream(ctx context.Context, spec connect.Spec, bound *rpc) *clientStream {
	info, ok := connect.CallInfoForClientContext(ctx)
	if !ok {
		ctx, info = connect.NewClientContext(ctx)
	}
	info.Spec, info.Protocol, info.Codec = spec, ProtocolName, connect.CodecNameProto
	s := &clientStream{rpc: bound, info: info, sent: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

var (
	errSentTwice = connect.NewError(connect.CodeInternal, "a unary call sends one message")
	errNotSent   = connect.NewError(connect.CodeUnimplemented, "a unary call ended without a message")
)

// SendHeaders does nothing: headers travel with the message.
func (s *clientStream) SendHeaders() error { return nil }

// Send sends the one message. Why it failed is the error of Receive.
func (s *clientStream) Send(msg any) error {
	if s.sending {
		return errSentTwice
	}
	s.sending = true
	call, err := s.send(msg)
	s.finishSend(call, err)
	return nil
}

func (s *clientStream) send(msg any) (*async.Call[proto.Message], error) {
	m, err := messageOf(msg)
	if err != nil {
		return nil, err
	}
	opts := headerOptions(s.info.RequestHeader())
	if s.rpc.client != nil {
		return s.rpc.client.CallAsync(s.ctx, m, opts...), nil
	}
	return nil, s.rpc.publisher.Send(s.ctx, m, opts...)
}

// finishSend lets Receive look; only the first outcome counts.
func (s *clientStream) finishSend(call *async.Call[proto.Message], err error) {
	s.ended.Do(func() {
		s.call, s.err = call, err
		close(s.sent)
	})
}

// CloseSend implements [connect.ClientStream].
func (s *clientStream) CloseSend() error {
	s.finishSend(nil, errNotSent)
	return nil
}

// Receive waits for the reply, or for the broker's confirm, whose reply is empty.
func (s *clientStream) Receive(msg any) error {
	if s.received {
		return io.EOF
	}
	s.received = true
	select {
	case <-s.sent:
	case <-s.ctx.Done():
		return callError(s.ctx.Err())
	}
	if s.err != nil {
		return callError(s.err)
	}
	if s.call == nil {
		if m, ok := msg.(proto.Message); ok {
			proto.Reset(m)
		}
		return nil
	}
	reply, err := s.call.Wait(s.ctx)
	if info := s.call.Info(); info != nil {
		fill(s.info.ResponseHeader(), info.Headers)
		fill(s.info.ResponseTrailer(), info.Trailers)
	}
	if err != nil {
		return callError(err)
	}
	return move(msg, reply)
}

// Close gives the call up if it is still under way.
func (s *clientStream) Close() error {
	s.cancel()
	s.finishSend(nil, context.Canceled)
	return nil
}

// serverStream is the handler's side of one message.
type serverStream struct {
	request proto.Message // nil when it was received
	reply   proto.Message
}

// Receive gives the request to the handler, once.
func (s *serverStream) Receive(msg any) error {
	if s.request == nil {
		return io.EOF
	}
	request := s.request
	s.request = nil
	return move(msg, request)
}

// SendHeaders does nothing: headers travel with the reply.
func (s *serverStream) SendHeaders() error { return nil }

var errRepliedTwice = errors.New("asyncconnect: a unary handler sends one reply")

// Send takes the handler's reply.
func (s *serverStream) Send(msg any) error {
	if s.reply != nil {
		return errRepliedTwice
	}
	m, err := messageOf(msg)
	if err != nil {
		return err
	}
	s.reply = m
	return nil
}
