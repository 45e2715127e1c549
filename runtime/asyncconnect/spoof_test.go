package asyncconnect_test

import (
	"context"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/proto"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1async"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// TestCallersDoNotSetAMessagesOwnHeaders: what a caller writes into headers that the wire keeps for itself goes nowhere, over HTTP
// and over the broker. Over HTTP that includes trace context: whom to believe there is the server's interceptor's business.
func TestCallersDoNotSetAMessagesOwnHeaders(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\n")
	type message struct {
		metadata map[string]string
		info     async.Info
	}
	got := make(chan message, 1)
	keep := async.WithInterceptors(async.Interceptor{Handle: func(next async.HandleFunc) async.HandleFunc {
		return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
			got <- message{in.Metadata, *in.Info}
			return next(ctx, in)
		}
	}})
	if err := callsv1async.NewCallsSubscriber(rt, keep).OnNote(func(context.Context, *callsv1.NoteRequest) error { return nil }); err != nil {
		t.Fatal(err)
	}
	run(t, rt)
	srv := ingress(t, rt, asyncconnect.AllowAnonymous(), asyncconnect.WithForwardedHeaders("X-Tenant"))
	for name, transport := range map[string]connect.Transport{
		overHTTP: connecthttp.NewTransport(srv.Client(), srv.URL), memory: asyncconnect.NewTransport(rt),
	} {
		ctx, info := connect.NewClientContext(t.Context())
		spoofed := map[string]string{
			"Async-Attempt": "9", "Async-Deadline": "1", "Async-Reply-To": "x", "Ce-Id": "x", "Ce-Type": "x", "X-Death": "x", "_watermill_message_uuid": "x",
			"Async-Mv-Tenant": `["x"]`, "Async-Content-Encoding": "gzip",
		}
		if name == overHTTP {
			spoofed["Traceparent"], spoofed["Baggage"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b"
		}
		for header, value := range spoofed {
			info.RequestHeader().Set(header, value)
		}
		info.RequestHeader().Set("X-Tenant", "blue")
		if _, err := callsv1connect.NewCallsClient(connect.NewClient(transport)).Note(ctx, &callsv1.NoteRequest{Id: "n-" + name, Row: "x"}); err != nil {
			t.Fatal(err)
		}
		m := receive(t, got)
		if m.info.Attempt != 1 || m.info.ID != "n-"+name || !m.info.Deadline.IsZero() || m.info.Headers.First("x-tenant") != "blue" || m.info.Headers.First("tenant") != "" {
			t.Errorf("%s: the handler sees %+v", name, m.info)
		}
		for _, header := range []string{"traceparent", "baggage", "async-reply-to", "async-content-encoding", "x-death"} {
			if value, there := m.metadata[header]; there {
				t.Errorf("%s: the message carries %s: %s", name, header, value)
			}
		}
	}
}
