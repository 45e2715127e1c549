package asyncconnect

import (
	"context"
	"iter"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// ProtocolName is the [connect.CallInfo].Protocol of calls that a broker carries.
const ProtocolName = "async"

// traceNames are the headers of trace context, which are a message's own and not its user's.
var traceNames = []string{transport.MetaTraceparent, transport.MetaTracestate, transport.MetaBaggage}

// travelling yields the headers of a call that a message takes along, a value at a time. What the wire keeps for itself is left
// out.
func travelling(h *connect.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for name, values := range h.All() {
			name = strings.ToLower(name)
			if async.ReservedHeader(name) {
				continue
			}
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}

// headerOptions are the headers of a call as a message's.
func headerOptions(h *connect.Header) []async.SendOption {
	var opts []async.SendOption
	for name, v := range travelling(h) {
		opts = append(opts, async.WithHeader(name, v))
	}
	return opts
}

// traceContext hands the trace context that a Connect interceptor put into the call's headers to the message, unless an
// interceptor of the runtime has given it one, whose span then is that one's child.
var traceContext = async.WithInterceptors(async.Interceptor{Send: func(next async.SendFunc) async.SendFunc {
	return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
		info, ok := connect.CallInfoForClientContext(ctx)
		if ok && out.Metadata[transport.MetaTraceparent] == "" {
			for _, name := range traceNames {
				if v := info.RequestHeader().Get(name); v != "" {
					if out.Metadata == nil {
						out.Metadata = make(map[string]string, len(traceNames))
					}
					out.Metadata[name] = v
				}
			}
		}
		return next(ctx, out)
	}
}})

// fill puts received headers into those of a call.
func fill(h *connect.Header, received async.Headers) {
	for name, values := range received {
		h.SetValues(name, slices.Clone(values))
	}
}

// requestInfo is what a handler sees of a message.
func requestInfo(spec connect.Spec, info *async.Info, metadata map[string]string) *connect.CallInfo {
	call := &connect.CallInfo{
		Spec: spec, Protocol: ProtocolName, TransportInfo: info,
		Codec: codecName(metadata), RequestEncoding: encodingName(metadata), ResponseEncoding: connect.CompressionNameIdentity,
	}
	fill(call.RequestHeader(), info.Headers)
	for _, name := range traceNames {
		if v := metadata[name]; v != "" {
			call.RequestHeader().Set(name, v)
		}
	}
	return call
}

func codecName(metadata map[string]string) string {
	if metadata[transport.MetaContentType] == async.ProtoJSON.ContentType() {
		return connect.CodecNameJSON
	}
	return connect.CodecNameProto
}

func encodingName(metadata map[string]string) string {
	if encoding := metadata[transport.MetaEncoding]; encoding != "" {
		return encoding
	}
	return connect.CompressionNameIdentity
}
