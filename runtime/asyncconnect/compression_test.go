package asyncconnect_test

import (
	"bytes"
	"cmp"
	"context"
	"testing"

	"connectrpc.com/connect/v2"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// repetitive makes n bytes that gzip makes ten to twenty times smaller: what would grow a hundredfold is sent as it is.
func repetitive(n int) []byte {
	const period = 4 << 10
	return bytes.Repeat(noise(period), n/period)
}

// echoEncoded answers, and says in a header how the request was compressed.
func echoEncoded(ctx context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	info, _ := connect.CallInfoForServerContext(ctx)
	info.ResponseHeader().Set("X-Encoding", cmp.Or(info.RequestEncoding, connect.CompressionNameIdentity))
	return echo(ctx, req)
}

// TestRequestsAndRepliesAreCompressed counts what goes over a caller's connection, since a caller is not told how a reply came.
func TestRequestsAndRepliesAreCompressed(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	for _, test := range []struct {
		name        string
		payload     []byte
		least, most int64
	}{
		{"what can be compressed takes a fraction both ways", repetitive(size), size / 64, size / 4},
		{"what cannot be compressed crosses as it is", noise(size), 2 * size, 3 * size},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, rabbitMQ)
			server := connect.NewServer()
			callsv1connect.RegisterCallsHandler(server, echoes{rows: map[string]call{"": {handle: echo}}})
			responder := p.open(t, configuration)
			if err := asyncconnect.Serve(responder, server); err != nil {
				t.Fatal(err)
			}
			run(t, responder)
			counted := newLine(t, p.url)
			p.url = counted.url()
			client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(p.open(t, configuration))))
			res, err := client.Echo(t.Context(), &callsv1.EchoRequest{Payload: test.payload})
			if err != nil || !bytes.Equal(res.GetPayload(), test.payload) {
				t.Fatalf("%d bytes and %v", len(res.GetPayload()), err)
			}
			if n := counted.carried.Load(); n < test.least || n > test.most {
				t.Errorf("1 MiB and its echo took %d bytes, want %d to %d", n, test.least, test.most)
			} else {
				t.Logf("1 MiB and its echo took %d bytes", n)
			}
		})
	}
}
