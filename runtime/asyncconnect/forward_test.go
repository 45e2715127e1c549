package asyncconnect_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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

const callsService = asyncconnect.Service(callsv1connect.CallsName)

// ingress is a server that only forwards, over HTTP.
func ingress(t *testing.T, rt *async.Runtime, opts ...asyncconnect.ForwardOption) *httptest.Server {
	t.Helper()
	server := connect.NewServer()
	if err := asyncconnect.Forward(rt, server, append(opts, callsService)...); err != nil {
		t.Fatal(err)
	}
	return serveHTTP(t, rt, server)
}

func TestCallsOverHTTPBecomeMessages(t *testing.T) {
	t.Parallel()
	for _, name := range []string{memory, rabbitMQ} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newPlace(t, name).open(t, "version: 1\n")
			type message struct {
				row, id string
				headers async.Headers
			}
			got := make(chan message, 2)
			subscriber := callsv1async.NewCallsSubscriber(rt)
			keep := func(ctx context.Context, row string) error {
				info, _ := async.InfoFrom(ctx)
				got <- message{row: row, id: info.ID, headers: info.Headers}
				return nil
			}
			if err := errors.Join(
				subscriber.OnNote(func(ctx context.Context, m *callsv1.NoteRequest) error { return keep(ctx, m.GetRow()) }),
				subscriber.OnNoted(func(ctx context.Context, m *callsv1.NotedEvent) error { return keep(ctx, m.GetRow()) }),
			); err != nil {
				t.Fatal(err)
			}
			run(t, rt)
			srv := ingress(t, rt, asyncconnect.AllowAnonymous(), asyncconnect.WithForwardedHeaders("X-Tenant"))
			client := callsv1connect.NewCallsClient(connect.NewClient(connecthttp.NewTransport(srv.Client(), srv.URL)))
			ctx, info := connect.NewClientContext(t.Context())
			info.RequestHeader().Set("X-Tenant", "blue")
			info.RequestHeader().Set("Authorization", "Bearer secret")
			if _, err := client.Note(ctx, &callsv1.NoteRequest{Id: "n-1", Row: "command"}); err != nil {
				t.Fatal(err)
			}
			command := receive(t, got)
			if command.row != "command" || command.id != "n-1" || command.headers.First("x-tenant") != "blue" || command.headers.First("authorization") != "" {
				t.Errorf("the command arrives as %+v", command)
			}
			if _, err := client.Noted(t.Context(), &callsv1.NotedEvent{Row: "event", Shelf: callsv1.Shelf_SHELF_TOP}); err != nil {
				t.Fatal(err)
			}
			if event := receive(t, got); event.row != "event" {
				t.Errorf("the event arrives as %+v", event)
			}
			_, err := client.Echo(t.Context(), new(callsv1.EchoRequest))
			wantError(t, err, connect.CodeUnimplemented)
		})
	}
}

func TestWhoMaySendIsAsked(t *testing.T) {
	t.Parallel()
	authenticate := func(ctx context.Context, spec connect.Spec, header *connect.Header) (context.Context, error) {
		switch {
		case header.Get("Authorization") == "":
			return nil, errors.New("secret: nobody")
		case spec.Procedure == callsv1connect.CallsNotedProcedure:
			return nil, connect.NewError(connect.CodePermissionDenied, "events are not yours")
		default:
			return ctx, nil
		}
	}
	rt := newPlace(t, memory).open(t, "version: 1\n")
	srv := ingress(t, rt, asyncconnect.WithAuthenticator(authenticate))
	client := callsv1connect.NewCallsClient(connect.NewClient(connecthttp.NewTransport(srv.Client(), srv.URL)))

	_, err := client.Note(t.Context(), new(callsv1.NoteRequest))
	wantError(t, err, connect.CodeUnauthenticated)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows what it should not: %v", err)
	}
	ctx, info := connect.NewClientContext(t.Context())
	info.RequestHeader().Set("Authorization", "me")
	_, err = client.Noted(ctx, new(callsv1.NotedEvent))
	wantError(t, err, connect.CodePermissionDenied, "events are not yours")
	if _, err := client.Note(ctx, new(callsv1.NoteRequest)); err != nil {
		t.Error(err)
	}
}

func TestForwardTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, config string
		opts         []asyncconnect.ForwardOption
		words        []string
	}{
		{"nobody says who may send", "version: 1\n", []asyncconnect.ForwardOption{callsService}, []string{"WithAuthenticator", "AllowAnonymous"}},
		{"a service that is not there", "version: 1\n", []asyncconnect.ForwardOption{asyncconnect.AllowAnonymous(), asyncconnect.Service("a.B")}, []string{"a.B", "not linked"}},
		{"no service", "version: 1\n", []asyncconnect.ForwardOption{asyncconnect.AllowAnonymous()}, []string{"asyncconnect.Service"}},
		{
			"a header that is a message's own", "version: 1\n",
			[]asyncconnect.ForwardOption{asyncconnect.AllowAnonymous(), callsService, asyncconnect.WithForwardedHeaders("X-Tenant", "Async-Attempt", "Traceparent")},
			[]string{"Async-Attempt", "Traceparent", "WithForwardedHeaders"},
		},
		{
			"a service without events and commands", "version: 1\n",
			[]asyncconnect.ForwardOption{asyncconnect.AllowAnonymous(), asyncconnect.Service(callsv1connect.PlainName)},
			[]string{callsv1connect.PlainName, "no event or command"},
		},
		{
			"a service twice", "version: 1\n",
			[]asyncconnect.ForwardOption{asyncconnect.AllowAnonymous(), callsService, callsService},
			[]string{"/acme.calls.v1.Calls/Note has a handler"},
		},
		{
			"an rpc that is on HTTP", "version: 1\nbindings: {acme.calls.v1.Calls/Note: {transport: http}}\n",
			[]asyncconnect.ForwardOption{asyncconnect.AllowAnonymous(), callsService},
			[]string{"/acme.calls.v1.Calls/Note", "transport: http"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rt := newPlace(t, memory).open(t, test.config)
			wantError(t, asyncconnect.Forward(rt, connect.NewServer(), test.opts...), connect.CodeUnknown, test.words...)
		})
	}
}

func TestAServerForwardsOrIsServed(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\n")
	server := connect.NewServer()
	if err := asyncconnect.Forward(rt, server, asyncconnect.AllowAnonymous(), callsService); err != nil {
		t.Fatal(err)
	}
	wantError(t, asyncconnect.Serve(rt, server), connect.CodeUnknown, "/acme.calls.v1.Calls/Note", "for ever", "another connect.Server")
	other := connect.NewServer()
	callsv1connect.RegisterCallsHandler(other, callsv1connect.UnimplementedCallsHandler{})
	if err := asyncconnect.Serve(rt, other); err != nil {
		t.Fatal(err)
	}
	wantError(t, asyncconnect.Forward(rt, other, asyncconnect.AllowAnonymous(), callsService), connect.CodeUnknown, "/acme.calls.v1.Calls/Note has a handler", "another connect.Server")
}

func TestEachSendErrorHasACode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		want connect.Code
	}{
		{"no queue", async.ErrUnroutable, connect.CodeUnavailable},
		{"refused", async.ErrNacked, connect.CodeUnavailable},
		{"blocked", async.ErrBlocked, connect.CodeUnavailable},
		{"shut down", async.ErrClosed, connect.CodeUnavailable},
		{"too large", async.ErrTooLarge, connect.CodeResourceExhausted},
		{"a full window", async.ErrBacklog, connect.CodeResourceExhausted},
		{"invalid", async.ErrInvalid, connect.CodeInvalidArgument},
		{"no key", async.ErrNoKey, connect.CodeInvalidArgument},
		{"unsupported", async.ErrUnsupported, connect.CodeUnimplemented},
		{"another topology", async.ErrTopology, connect.CodeFailedPrecondition},
		{"the outcome is unknown", async.ErrUnknown, connect.CodeUnknown},
		{"the outcome is unknown since time is over", errors.Join(async.ErrUnknown, context.DeadlineExceeded), connect.CodeDeadlineExceeded},
		{"the outcome is unknown since the caller has gone", errors.Join(async.ErrUnknown, context.Canceled), connect.CodeCanceled},
		{"anything else", errors.New("secret"), connect.CodeUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// An interceptor that refuses is as good as a broker that does.
			rt := newPlace(t, memory).open(t, "version: 1\n", async.WithInterceptors(refusing(test.err)))
			srv := ingress(t, rt, asyncconnect.AllowAnonymous())
			client := callsv1connect.NewCallsClient(connect.NewClient(connecthttp.NewTransport(srv.Client(), srv.URL)))
			_, err := client.Note(t.Context(), &callsv1.NoteRequest{Row: "x"})
			wantError(t, err, test.want)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows what it should not: %v", err)
			}
			direct := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(rt)))
			_, err = direct.Note(t.Context(), &callsv1.NoteRequest{Row: "x"})
			wantError(t, err, test.want)
			if !errors.Is(err, test.err) {
				t.Errorf("a client at home does not find the cause in %v", err)
			}
		})
	}
}

func TestWhatIsReadIsLimited(t *testing.T) {
	t.Parallel()
	rt := newPlace(t, memory).open(t, "version: 1\nbindings: {acme.calls.v1.Calls/Note: {max_message_bytes: 1KiB}}\n")
	srv := ingress(t, rt, asyncconnect.AllowAnonymous())
	post := func(t *testing.T, srv *httptest.Server, body []byte, encoding string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+callsv1connect.CallsNoteProcedure, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/proto")
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	message := func(n int) []byte {
		raw, err := proto.Marshal(&callsv1.NoteRequest{Row: strings.Repeat("x", n)})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if res := post(t, srv, message(1000), ""); res.StatusCode != http.StatusOK {
		t.Errorf("a message below the limit: %s", res.Status)
	}
	if res := post(t, srv, message(1100), ""); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a message above the limit: %s", res.Status)
	}
	forwarding, mux := connect.NewServer(), http.NewServeMux()
	if err := asyncconnect.Forward(rt, forwarding, asyncconnect.AllowAnonymous(), callsService); err != nil {
		t.Fatal(err)
	}
	connecthttp.Mount(mux, forwarding)
	unlike := httptest.NewServer(mux)
	t.Cleanup(unlike.Close)
	if res := post(t, unlike, message(1100), ""); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a message above the limit, where Connect's own is higher: %s", res.Status)
	}
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := io.Copy(w, io.LimitReader(zeros{}, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if res := post(t, srv, bomb.Bytes(), "gzip"); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a message that grows when it is decompressed: %s", res.Status)
	}
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+callsv1connect.CallsNoteProcedure+"?message=%7B%7D&encoding=json&connect=v1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(get)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a GET: %s", res.Status)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
