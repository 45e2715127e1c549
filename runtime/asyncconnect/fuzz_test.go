package asyncconnect_test

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	"github.com/asyncpb/async/internal/hangtest"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
	"github.com/asyncpb/async/runtime/transport"
)

// frame is one message of gRPC.
func frame(flags byte, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(payload))), payload...)
}

// FuzzIngress proves that whatever is sent to a server that forwards is answered within a second, and is a message only if it
// was a POST that could be read.
func FuzzIngress(f *testing.F) {
	sent := 0
	rt, err := async.Open(f.Context(), async.WithURL("memory://"), async.WithInterceptors(tallied(func(*async.Outgoing) { sent++ })))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = rt.Close() })
	server := connect.NewServer()
	if err := asyncconnect.Forward(rt, server, callsService, asyncconnect.AllowAnonymous(), asyncconnect.WithForwardedHeaders("X-Tenant")); err != nil {
		f.Fatal(err)
	}
	mux := http.NewServeMux()
	asyncconnect.Mount(rt, mux, server)

	raw, err := proto.Marshal(&callsv1.NoteRequest{Id: "n-1", Row: "row"})
	if err != nil {
		f.Fatal(err)
	}
	small, _ := transport.Compress(bytes.Repeat(raw, 100))
	bomb, _ := transport.Compress(make([]byte, 8<<20))
	for _, contentType := range []string{"application/proto", "application/json", "application/grpc", "application/grpc-web+proto", "application/grpc-web-text", "application/connect+proto", "text/plain", ""} {
		f.Add("POST", contentType, "", "", "10S", raw)
		f.Add("POST", contentType, "gzip", "blue", "", small)
		f.Add("POST", contentType, "gzip", "a\r\nb", "99999999999999H", bomb)
		f.Add("GET", contentType, "", "", "", []byte(nil))
		f.Add("POST", contentType, "", "", "-1m", frame(0, raw))
		f.Add("POST", contentType, "br", "", "", append(frame(1, small), frame(0x80, []byte("a: b\r\n"))...))
		f.Add("POST", contentType, "", "", "", []byte("\x00\xff\xff\xff\xff"))
		f.Add("POST", contentType, "", "", "", []byte(`{"id":"n-1","row":"r"}`))
	}
	f.Fuzz(func(t *testing.T, method, contentType, encoding, tenant, timeout string, body []byte) {
		defer hangtest.Watch()()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, callsv1connect.CallsNoteProcedure, bytes.NewReader(body))
		req.Method = method
		req.ProtoMajor, req.ProtoMinor = 2, 0 // gRPC wants it
		for name, value := range map[string]string{
			"Content-Type": contentType, "Content-Encoding": encoding, "Grpc-Encoding": encoding, "Connect-Content-Encoding": encoding,
			"X-Tenant": tenant, "Grpc-Timeout": timeout, "Connect-Timeout-Ms": timeout, "Connect-Protocol-Version": "1",
			"Traceparent": tenant, "Async-Attempt": "9", "Ce-Id": tenant, "X-Death": tenant,
		} {
			if value != "" {
				req.Header[name] = []string{value}
			}
		}
		before := sent
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, req)
		if answer.Code < 200 || answer.Code > 599 {
			t.Errorf("the status is %d", answer.Code)
		}
		if n := sent - before; n > 1 || n == 1 && method != http.MethodPost {
			t.Errorf("%d messages were sent by a %q", n, method)
		}
	})
}
