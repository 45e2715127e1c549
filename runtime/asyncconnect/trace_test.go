package asyncconnect_test

import (
	"context"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
	"github.com/asyncpb/async/runtime/transport"
)

// refusing fails every send with err.
func refusing(err error) async.Interceptor {
	return async.Interceptor{Send: func(async.SendFunc) async.SendFunc {
		return func(_ context.Context, out *async.Outgoing) *async.Receipt { return async.FailedReceipt(out.ID, err) }
	}}
}

// tallied lets nothing through and tells f of every message.
func tallied(f func(*async.Outgoing)) async.Interceptor {
	return async.Interceptor{Send: func(async.SendFunc) async.SendFunc {
		return func(_ context.Context, out *async.Outgoing) *async.Receipt {
			f(out)
			return async.FailedReceipt(out.ID, async.ErrNacked)
		}
	}}
}

func TestTraceContextCrosses(t *testing.T) {
	t.Parallel()
	const (
		connects = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		ours     = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
	)
	traced := func(next connect.ClientFunc) connect.ClientFunc {
		return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
			info, _ := connect.CallInfoForClientContext(ctx)
			info.RequestHeader().Set("Traceparent", connects)
			info.RequestHeader().Set("Baggage", "tenant=blue")
			return next(ctx, spec)
		}
	}
	setting := async.Interceptor{Send: func(next async.SendFunc) async.SendFunc {
		return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
			out.Metadata = map[string]string{transport.MetaTraceparent: ours}
			return next(ctx, out)
		}
	}}
	for _, test := range []struct {
		name string
		opts []async.Option
		want map[string]string
	}{
		{"what Connect's interceptor wrote is the message's", nil, map[string]string{"traceparent": connects, "baggage": "tenant=blue"}},
		{"what the runtime's interceptor wrote wins, since its span is inside", []async.Option{async.WithInterceptors(setting)}, map[string]string{"traceparent": ours}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onWire, inHandler := make(chan map[string]string, 1), make(chan map[string]string, 1)
			rt := newPlace(t, memory).open(t, "version: 1\n", append(test.opts, async.WithInterceptors(async.Interceptor{
				Handle: func(next async.HandleFunc) async.HandleFunc {
					return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
						onWire <- in.Metadata
						return next(ctx, in)
					}
				},
			}))...)
			server := connect.NewServer(func(next connect.ServerFunc) connect.ServerFunc {
				return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
					info, _ := connect.CallInfoForServerContext(ctx)
					found := make(map[string]string)
					for _, name := range []string{"traceparent", "baggage"} {
						found[name] = info.RequestHeader().Get(name)
					}
					inHandler <- found
					return next(ctx, spec, stream)
				}
			})
			callsv1connect.RegisterCallsHandler(server, echoes{rows: map[string]call{"": {handle: echo}}})
			if err := asyncconnect.Serve(rt, server); err != nil {
				t.Fatal(err)
			}
			run(t, rt)
			client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt), traced))
			if _, err := client.Echo(t.Context(), new(callsv1.EchoRequest)); err != nil {
				t.Fatal(err)
			}
			metadata, headers := receive(t, onWire), receive(t, inHandler)
			for name := range headers {
				if diff := cmp.Diff([]string{test.want[name], test.want[name]}, []string{metadata[name], headers[name]}); diff != "" {
					t.Errorf("%s in the message, and in the handler's headers (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}
