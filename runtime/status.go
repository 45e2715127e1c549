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
func readStatus(msg *message.Message) error {
	text := msg.Metadata[transport.MetaStatus]
	if text == "" || text == "0" {
		return nil
	}
	code, err := strconv.ParseUint(text, 10, 32)
	if err != nil || !Code(code).valid() {
		return &Error{Code: CodeUnknown, Message: "the reply has the unknown status " + sanitize(text), remote: true}
	}
	status := new(statuspb.Status)
	if err := unmarshal(msg.Metadata[transport.MetaContentType], msg.Payload, status); err != nil {
		return &Error{Code: Code(code), remote: true}
	}
	return &Error{Code: Code(code), Message: status.GetMessage(), Details: status.GetDetails(), remote: true}
}

// replyHeaders collects what a handler sets for its reply.
type replyHeaders struct {
	mu      sync.Mutex
	headers Headers
}

type replyHeadersKey struct{}

// SetReplyHeader adds a header to the reply of the request that is being handled; see [Headers] for what is allowed. Outside
// a request's handler it returns an error.
func SetReplyHeader(ctx context.Context, name, value string) error {
	h, _ := ctx.Value(replyHeadersKey{}).(*replyHeaders)
	if h == nil {
		return errors.New("async: SetReplyHeader: no request is being handled in this context")
	}
	if err := errors.Join(checkHeaderName(name), checkHeaderValue(name, value)); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.headers == nil {
		h.headers = make(Headers)
	}
	h.headers.Add(name, value)
	return nil
}

// encodeReply makes the wire form of a reply or an error.
func (rt *Runtime) encodeReply(r *route, request *message.Message, reply proto.Message, failure error, headers Headers) (*message.Message, error) {
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
	md := rt.envelope(r, uuid.NewString(), string(body.ProtoReflect().Descriptor().FullName()), time.Now())
	md[transport.MetaStatus] = status
	md[transport.MetaCorrelationID] = request.Metadata[transport.MetaCorrelationID]
	if err := headers.write(md, transport.PrefixHeader); err != nil {
		return nil, err
	}
	msg := message.NewMessage(md[transport.MetaID], payload)
	msg.Metadata = md
	return msg, nil
}
