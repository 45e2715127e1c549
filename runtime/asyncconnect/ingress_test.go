package asyncconnect_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/proto"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// watched is a body that knows whether it was read.
type watched struct {
	io.Reader

	read bool
}

func (w *watched) Read(p []byte) (int, error) {
	w.read = true
	return w.Reader.Read(p)
}

// entry is one HTTP call on an ingress.
type entry struct {
	method, procedure, contentType, authorization string
	body                                          []byte
}

// on serves c and returns the status, gRPC's where that is spoken, and whether the body was looked at.
func (c entry) on(t *testing.T, handler http.Handler) (status int, grpc string, read bool) {
	t.Helper()
	body := &watched{Reader: bytes.NewReader(c.body)}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, c.procedure, body)
	req.Method, req.ProtoMajor, req.ProtoMinor = c.method, 2, 0
	req.Header.Set("Content-Type", c.contentType)
	if c.authorization != "" {
		req.Header.Set("Authorization", c.authorization)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, req)
	result := answer.Result()
	defer result.Body.Close()
	text, err := io.ReadAll(result.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text)+result.Header.Get("Grpc-Message")+result.Trailer.Get("Grpc-Message"), "secret") {
		t.Errorf("%+v is answered with %s", c, text)
	}
	grpc = result.Trailer.Get("Grpc-Status")
	if grpc == "" {
		grpc = result.Header.Get("Grpc-Status")
	}
	return answer.Code, grpc, body.read
}

// TestIngressMatrix calls with every protocol as everybody: who may not is told so, nothing is sent, and nothing that was not
// asked for is read.
func TestIngressMatrix(t *testing.T) {
	t.Parallel()
	sent := make(chan string, 100)
	rt := newPlace(t, memory).open(t, "version: 1\n", async.WithInterceptors(async.Interceptor{Send: func(next async.SendFunc) async.SendFunc {
		return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
			sent <- out.Spec.Method
			return next(ctx, out)
		}
	}}))
	server := connect.NewServer()
	if err := asyncconnect.Forward(rt, server, callsService, asyncconnect.WithAuthenticator(func(ctx context.Context, spec connect.Spec, header *connect.Header) (context.Context, error) {
		switch header.Get("Authorization") {
		case "writer":
			return ctx, nil
		case "reader":
			return nil, connect.NewError(connect.CodePermissionDenied, "not yours")
		case "":
			return nil, connect.NewError(connect.CodeUnauthenticated, "who are you?")
		default:
			return nil, errors.New("secret: no such token")
		}
	})); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	asyncconnect.Mount(rt, mux, server)
	raw, err := proto.Marshal(&callsv1.NoteRequest{Row: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []struct {
		contentType string
		body        []byte
		grpc        bool
	}{
		{"application/proto", raw, false},
		{"application/json", []byte(`{"row":"x"}`), false},
		{"application/grpc", frame(0, raw), true},
		{"application/grpc+proto", frame(0, raw), true},
	} {
		for _, caller := range []struct {
			authorization string
			status        int
			grpc          string
		}{
			{"", http.StatusUnauthorized, "16"},
			{"stranger", http.StatusUnauthorized, "16"},
			{"reader", http.StatusForbidden, "7"},
			{"writer", http.StatusOK, "0"},
		} {
			for _, procedure := range []string{callsv1connect.CallsNoteProcedure, callsv1connect.CallsNotedProcedure} {
				c := entry{http.MethodPost, procedure, protocol.contentType, caller.authorization, protocol.body}
				status, grpc, read := c.on(t, mux)
				if !protocol.grpc && status != caller.status || protocol.grpc && grpc != caller.grpc {
					t.Errorf("%s as %q over %s: status %d, grpc-status %q", procedure, caller.authorization, protocol.contentType, status, grpc)
				}
				if allowed := caller.status == http.StatusOK; len(sent) > 0 != allowed || read && !allowed {
					t.Errorf("%s as %q over %s: %d messages are sent, the body is read: %t", procedure, caller.authorization, protocol.contentType, len(sent), read)
				}
				for len(sent) > 0 {
					<-sent
				}
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "TRACE", "post"} {
			c := entry{method, callsv1connect.CallsNoteProcedure, protocol.contentType, "writer", protocol.body}
			if status, _, _ := c.on(t, mux); status != http.StatusMethodNotAllowed || len(sent) > 0 {
				t.Errorf("%s over %s: status %d, %d messages are sent", method, protocol.contentType, status, len(sent))
			}
		}
		for _, procedure := range []string{callsv1connect.CallsEchoProcedure, "/acme.calls.v1.Plain/Tell", "/", "/acme.calls.v1.Calls/", "/../" + callsv1connect.CallsNoteProcedure} {
			c := entry{http.MethodPost, procedure, protocol.contentType, "writer", protocol.body}
			if status, grpc, _ := c.on(t, mux); status == http.StatusOK && grpc != "12" || len(sent) > 0 {
				t.Errorf("%s over %s, which is not forwarded: status %d, grpc-status %q, %d messages are sent", procedure, protocol.contentType, status, grpc, len(sent))
			}
		}
	}
}

// TestABombDoesNotFillTheMemory is not parallel: it looks at the memory of the process.
func TestABombDoesNotFillTheMemory(t *testing.T) { //nolint:paralleltest // see above
	const mib = 1 << 20
	var member bytes.Buffer
	w, err := gzip.NewWriterLevel(&member, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 64*mib)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := bytes.Repeat(member.Bytes(), 16) // a gzip file may be several
	if len(bomb) > mib {
		t.Fatalf("the bomb has %d bytes, which is too large by itself", len(bomb))
	}
	rt := newPlace(t, memory).open(t, "version: 1\n")
	server := connect.NewServer()
	if err := asyncconnect.Forward(rt, server, callsService, asyncconnect.AllowAnonymous()); err != nil {
		t.Fatal(err)
	}
	ours, connects := http.NewServeMux(), http.NewServeMux()
	asyncconnect.Mount(rt, ours, server)
	connecthttp.Mount(connects, server)
	for _, mount := range []struct {
		name string
		mux  *http.ServeMux
		most uint64 // bytes, of which a buffer that grows to the limit takes several times as many
	}{
		{"Mount", ours, 16 * mib},
		{"connecthttp.Mount", connects, 64 * mib},
	} {
		for _, contentType := range []string{"application/proto", "application/json", "application/grpc", "application/grpc-web"} {
			body := bomb
			if strings.Contains(contentType, "grpc") {
				body = frame(1, bomb)
			}
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, callsv1connect.CallsNoteProcedure, bytes.NewReader(body))
			req.ProtoMajor, req.ProtoMinor = 2, 0
			req.Header.Set("Content-Type", contentType)
			req.Header.Set("Content-Encoding", "gzip")
			req.Header.Set("Grpc-Encoding", "gzip")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			answer := httptest.NewRecorder()
			mount.mux.ServeHTTP(answer, req)
			runtime.ReadMemStats(&after)
			refused := answer.Code == http.StatusTooManyRequests || answer.Result().Trailer.Get("Grpc-Status") == "8" ||
				answer.Header().Get("Grpc-Status") == "8" || strings.Contains(strings.ToLower(answer.Body.String()), "grpc-status: 8")
			if !refused {
				t.Errorf("%s, %s: status %d, %v, %.200q", mount.name, contentType, answer.Code, answer.Header(), answer.Body)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > mount.most {
				t.Errorf("%s, %s: %d bytes of 1 GiB took %d bytes of memory, want at most %d", mount.name, contentType, len(bomb), took, mount.most)
			} else {
				t.Logf("%s, %s: %d bytes that become 1 GiB took %d bytes of memory", mount.name, contentType, len(bomb), took)
			}
		}
	}
}
