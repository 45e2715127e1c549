package async

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/runtime/transport"
)

// statusOf is what a handler's error becomes on the wire: only an Error made here shows its text.
func statusOf(err error) *statuspb.Status {
	var local *Error
	switch {
	case errors.As(err, &local) && local.Code.valid() && !local.remote:
		return &statuspb.Status{Code: int32(local.Code), Message: local.Message, Details: local.Details}
	case local == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)):
		return &statuspb.Status{Code: int32(CodeOf(err))}
	default:
		return &statuspb.Status{Code: int32(CodeUnknown)}
	}
}

// readStatus returns the Error of a reply, nil when it is a success.
func readStatus(md message.Metadata, payload []byte) error {
	text := md[transport.MetaStatus]
	if text == "" || text == "0" {
		return nil
	}
	code, err := strconv.ParseUint(text, 10, 32)
	if err != nil || !Code(code).valid() {
		return &Error{Code: CodeUnknown, Message: "the reply has the unknown status " + sanitize(text), remote: true}
	}
	status := new(statuspb.Status)
	if err := unmarshal(md[transport.MetaContentType], payload, status); err != nil {
		return &Error{Code: Code(code), remote: true}
	}
	return &Error{Code: Code(code), Message: status.GetMessage(), Details: status.GetDetails(), remote: true}
}

// replyHeaders collects what a handler sets for its reply.
type replyHeaders struct {
	mu                sync.Mutex
	headers, trailers Headers
}

// add puts a value into one of the two.
func (h *replyHeaders) add(to *Headers, name, value string) error {
	if err := errors.Join(checkHeaderName(name), checkHeaderValue(name, value)); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if *to == nil {
		*to = make(Headers)
	}
	to.Add(name, value)
	return nil
}

// write puts both into the metadata of a reply; nil writes nothing.
func (h *replyHeaders) write(md message.Metadata) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.headers.write(md, transport.PrefixHeader), h.trailers.write(md, transport.PrefixTrailer))
}

type replyHeadersKey struct{}

// SetReplyHeader adds a header to the reply of the request that is being handled; see [Headers] for what is allowed. Outside
// a request's handler it returns an error.
func SetReplyHeader(ctx context.Context, name, value string) error {
	h, _ := ctx.Value(replyHeadersKey{}).(*replyHeaders)
	if h == nil {
		return errors.New("async: SetReplyHeader: no request is being handled in this context")
	}
	return h.add(&h.headers, name, value)
}

// SetReplyTrailer adds a trailer to the reply of the request that is being handled; what is said at [SetReplyHeader] holds here
// too. The caller finds it in [Info] beside the headers.
func SetReplyTrailer(ctx context.Context, name, value string) error {
	h, _ := ctx.Value(replyHeadersKey{}).(*replyHeaders)
	if h == nil {
		return errors.New("async: SetReplyTrailer: no request is being handled in this context")
	}
	return h.add(&h.trailers, name, value)
}

// encodeReply makes the wire form of a reply or an error.
func (rt *Runtime) encodeReply(r *route, request *message.Message, reply proto.Message, failure error, headers *replyHeaders) (*message.Message, error) {
	body, status := reply, "0"
	if failure != nil {
		st := statusOf(failure)
		body, status = st, strconv.Itoa(int(st.GetCode()))
	}
	payload, err := r.settings.codec.marshal(body)
	if err != nil {
		return nil, err
	}
	if int64(len(payload)) > r.settings.maxMessageBytes {
		return nil, NewError(CodeResourceExhausted, "the reply has %d bytes, max_message_bytes is %d", len(payload), r.settings.maxMessageBytes)
	}
	md := rt.envelope(r, uuid.NewString(), string(body.ProtoReflect().Descriptor().FullName()), time.Now(), 4)
	md[transport.MetaStatus] = status
	md[transport.MetaCorrelationID] = request.Metadata[transport.MetaCorrelationID]
	payload = r.settings.compress(payload, md)
	if err := headers.write(md); err != nil {
		return nil, err
	}
	msg := message.NewMessage(md[transport.MetaID], payload)
	msg.Metadata = md
	return msg, nil
}
