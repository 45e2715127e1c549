package asyncconnect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
)

// outcome is all that a caller sees of a call.
type outcome struct {
	Code              connect.Code // 0 is success
	Text              string
	Details           []string
	Payload           string
	Headers, Trailers map[string][]string // those that begin with X-
	Remote            bool
}

// call is a row: what is called, what the handler does, and what the caller sees in process.
type call struct {
	name    string
	payload []byte
	headers map[string][]string
	context func(context.Context) (context.Context, context.CancelFunc)
	handle  func(ctx context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error)
	absent  bool // calls what no server has
	want    outcome
	// codeOnly: who notices first, and with which words, is left to chance.
	codeOnly bool
	// Where a wire differs, and why.
	broker, http *difference
}

// difference is what is seen on another wire.
type difference struct {
	because  string
	want     outcome
	codeOnly bool
}

// on returns how the row differs on a wire, nil if it does not.
func (c *call) on(wire string) *difference {
	switch wire {
	case overHTTP:
		return c.http
	case memory, rabbitMQ:
		return c.broker
	default:
		return nil
	}
}

func answer(payload []byte) (*callsv1.EchoResponse, error) {
	return &callsv1.EchoResponse{Payload: payload}, nil
}

func echo(_ context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	return answer(req.GetPayload())
}

func failing(err error) func(context.Context, *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	return func(context.Context, *callsv1.EchoRequest) (*callsv1.EchoResponse, error) { return nil, err }
}

// untilEnd waits for the end of the call, as a handler does that is busy for its caller.
func untilEnd(ctx context.Context, _ *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Second):
		return answer([]byte("too late"))
	}
}

// replying sets headers and trailers and then fails or not.
func replying(headers, trailers map[string][]string, err error) func(context.Context, *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	return func(ctx context.Context, _ *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
		info, _ := connect.CallInfoForServerContext(ctx)
		for name, values := range headers {
			info.ResponseHeader().SetValues(name, values)
		}
		for name, values := range trailers {
			info.ResponseTrailer().SetValues(name, values)
		}
		if err != nil {
			return nil, err
		}
		return answer(nil)
	}
}

// reflecting replies with the request headers that begin with X-.
func reflecting(ctx context.Context, _ *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	info, _ := connect.CallInfoForServerContext(ctx)
	for name, values := range own(info.RequestHeader()) {
		info.ResponseHeader().SetValues(name, values)
	}
	return answer(nil)
}

func own(h *connect.Header) map[string][]string {
	var found map[string][]string
	for name, values := range h.All() {
		if strings.HasPrefix(name, "X-") || strings.HasPrefix(name, "Async-") {
			if found == nil {
				found = make(map[string][]string)
			}
			found[name] = values
		}
	}
	return found
}

func detail(m proto.Message) *connect.ErrorDetail {
	d, err := connectproto.NewErrorDetail(m)
	if err != nil {
		panic(err)
	}
	return d
}

func noise(n int) []byte {
	random := rand.NewChaCha8([32]byte{})
	b := make([]byte, n)
	_, _ = random.Read(b)
	return b
}

func within(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
}

func ended(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx, cancel
}

func endedSoon(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(100*time.Millisecond, cancel)
	return ctx, cancel
}

// saysDeadline replies whether the call has a deadline, and whether it is no later than a minute from now.
func saysDeadline(ctx context.Context, _ *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	deadline, ok := ctx.Deadline()
	switch {
	case !ok:
		return answer([]byte("none"))
	case time.Until(deadline) <= time.Minute:
		return answer([]byte("near"))
	default:
		return answer([]byte("far"))
	}
}

// calls is the table of calls.
func calls() []call {
	const mebibyte = 1 << 20
	large, dull := noise(mebibyte), repetitive(mebibyte)
	encoded := func(name string) map[string][]string { return map[string][]string{"X-Encoding": {name}} }
	tooLarge := noise(3 * mebibyte)
	several := map[string][]string{"X-One": {"1"}, "X-Many": {"a", "b", "c"}}
	rows := []call{
		{name: "an answer", payload: []byte("hello"), handle: echo, want: outcome{Payload: "hello"}},
		{name: "an empty payload", handle: echo, want: outcome{}},
		{name: "a reply that is a nil message is empty", handle: failing(nil), want: outcome{}},
		{
			name: "a payload of 1 MiB that cannot be compressed", payload: large, handle: echoEncoded,
			want: outcome{Payload: string(large), Headers: encoded("identity")},
		},
		{
			name: "a payload of 1 MiB that can be compressed", payload: dull, handle: echoEncoded,
			want:   outcome{Payload: string(dull), Headers: encoded("identity")},
			broker: &difference{because: "compress_above is set, and a call in process or of Connect's HTTP client is not compressed unless it asks for it", want: outcome{Payload: string(dull), Headers: encoded("gzip")}},
		},
		{
			name: "a payload beyond the limit", payload: tooLarge, handle: echo, want: outcome{Payload: string(tooLarge)}, codeOnly: true,
			broker: &difference{because: "a message has at most max_message_bytes", want: outcome{Code: connect.CodeResourceExhausted}},
			http:   &difference{because: "Mount reads at most max_message_bytes", want: outcome{Code: connect.CodeResourceExhausted, Remote: true}},
		},

		{name: "request headers with one and with several values", headers: several, handle: reflecting, want: outcome{Headers: several}},
		{name: "a request header with an empty value", headers: map[string][]string{"X-Empty": {""}}, handle: reflecting, want: outcome{Headers: map[string][]string{"X-Empty": {""}}}},
		{
			name: "a binary request header", headers: map[string][]string{"X-Raw-Bin": {connect.EncodeBinaryHeader([]byte{0, 1, 255})}}, handle: reflecting,
			want: outcome{Headers: map[string][]string{"X-Raw-Bin": {"AAH/"}}},
		},
		{
			name: "a request header that the broker's wire keeps for itself", headers: map[string][]string{"Async-Status": {"9"}, "X-One": {"1"}}, handle: reflecting,
			want:   outcome{Headers: map[string][]string{"Async-Status": {"9"}, "X-One": {"1"}}},
			broker: &difference{because: "reserved names are left out", want: outcome{Headers: map[string][]string{"X-One": {"1"}}}},
		},
		{
			name: "a request header of 5 KiB", headers: map[string][]string{"X-Long": {strings.Repeat("x", 5<<10)}}, handle: reflecting, codeOnly: true,
			want:   outcome{},
			broker: &difference{because: "a header has at most 4 KiB", want: outcome{Code: connect.CodeResourceExhausted}},
		},
		{name: "response headers and trailers", handle: replying(several, map[string][]string{"X-Trailer": {"z"}, "X-Trailers": {"y", "x"}}, nil), want: outcome{
			Headers: several, Trailers: map[string][]string{"X-Trailer": {"z"}, "X-Trailers": {"y", "x"}},
		}},
		{
			name:   "response headers and trailers beside an error",
			handle: replying(several, map[string][]string{"X-Trailer": {"z"}}, connect.NewError(connect.CodeAborted, "no")),
			want: outcome{
				Code: connect.CodeAborted, Text: "no", Remote: true, Headers: several, Trailers: map[string][]string{"X-Trailer": {"z"}},
			},
		},

		{
			name: "an error with several details",
			handle: failing(connect.NewError(connect.CodeFailedPrecondition, "not yet").
				WithDetail(detail(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})).
				WithDetail(detail(&errdetails.ErrorInfo{Reason: "EMPTY"}))),
			want: outcome{
				Code: connect.CodeFailedPrecondition, Text: "not yet", Remote: true,
				Details: []string{`google.rpc.RetryInfo retry_delay:{seconds:1}`, `google.rpc.ErrorInfo reason:"EMPTY"`},
			},
		},
		{
			name: "an error with a cause keeps the cause at home", handle: failing(connect.NewError(connect.CodeInternal, "sorry").WithCause(errors.New("secret"))),
			want: outcome{Code: connect.CodeInternal, Text: "sorry", Remote: true},
		},
		{
			name: "an error that is wrapped in another shows its own text", handle: failing(fmt.Errorf("secret: %w", connect.NewError(connect.CodeNotFound, "no such thing"))),
			want: outcome{Code: connect.CodeNotFound, Text: "no such thing", Remote: true},
		},
		{name: "any other error shows nothing", handle: failing(errors.New("secret")), want: outcome{Code: connect.CodeUnknown, Remote: true}},
		{
			name: "an error that came from another service shows nothing", handle: failing(connect.NewError(connect.CodeNotFound, "secret").WithRemote()),
			want: outcome{Code: connect.CodeInternal, Remote: true},
		},
		{name: "a handler that was canceled by something else", handle: failing(context.Canceled), want: outcome{Code: connect.CodeCanceled, Remote: true}},
		{name: "a handler with a deadline of its own", handle: failing(context.DeadlineExceeded), want: outcome{Code: connect.CodeDeadlineExceeded, Remote: true}},
		{
			name:   "a panic",
			handle: func(context.Context, *callsv1.EchoRequest) (*callsv1.EchoResponse, error) { panic("secret") },
			want:   outcome{Code: connect.CodeInternal, Text: "panic in server: secret", Remote: true},
			broker: &difference{because: "what a panic says stays with the process that panicked", want: outcome{Code: connect.CodeInternal, Text: "the handler panicked", Remote: true}},
			http:   &difference{because: "net/http cuts the connection", want: outcome{Code: connect.CodeUnavailable}, codeOnly: true},
		},

		{name: "a deadline reaches the handler", context: within(30 * time.Second), handle: saysDeadline, want: outcome{Payload: "near"}},
		{
			name: "a call without a deadline", handle: saysDeadline, want: outcome{Payload: "none"},
			broker: &difference{because: "a request that nobody answers must end: it has the rpc's timeout", want: outcome{Payload: "near"}},
		},
		{name: "a deadline that passes while the handler works", context: within(100 * time.Millisecond), handle: untilEnd, codeOnly: true, want: outcome{Code: connect.CodeDeadlineExceeded}},
		{name: "a deadline that has passed already", context: within(-time.Second), handle: untilEnd, codeOnly: true, want: outcome{Code: connect.CodeDeadlineExceeded}},
		{name: "a caller that gives up while the handler works", context: endedSoon, handle: untilEnd, codeOnly: true, want: outcome{Code: connect.CodeCanceled}},
		{name: "a caller that has given up already", context: ended, handle: untilEnd, codeOnly: true, want: outcome{Code: connect.CodeCanceled}},

		{
			name: "a procedure that no server has", absent: true, codeOnly: true, want: outcome{Code: connect.CodeUnimplemented},
			broker: &difference{because: "nobody can tell a server that lacks the rpc from one that is not there", want: outcome{Code: connect.CodeUnavailable}},
		},
	}
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		rows = append(rows,
			call{
				name: "the code " + code.String(), handle: failing(connect.Errorf(code, "%d is the code", code)),
				want: outcome{Code: code, Text: fmt.Sprintf("%d is the code", code), Remote: true},
			},
			call{name: "the code " + code.String() + " without a text", handle: failing(connect.NewError(code, "")), want: outcome{Code: code, Remote: true}},
		)
	}
	return rows
}

// echoes answers each call as its row says.
type echoes struct {
	callsv1connect.UnimplementedCallsHandler
	rows map[string]call
}

func (e echoes) Echo(ctx context.Context, req *callsv1.EchoRequest) (*callsv1.EchoResponse, error) {
	return e.rows[req.GetRow()].handle(ctx, req)
}

// TestACallOverABrokerIsACall holds the broker to what connectinprocess does, and shows HTTP beside it.
func TestACallOverABrokerIsACall(t *testing.T) {
	t.Parallel()
	rows := calls()
	handler := echoes{rows: make(map[string]call)}
	for _, row := range rows {
		handler.rows[row.name] = row
	}
	for _, name := range []string{inProcess, memory, rabbitMQ, overHTTP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := connect.NewServer()
			callsv1connect.RegisterCallsHandler(server, handler)
			client := connect.NewClient(wire(t, name, server))
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) {
					t.Parallel()
					want, codeOnly := row.want, row.codeOnly
					if other := row.on(name); other != nil {
						t.Logf("differs from %s: %s", inProcess, other.because)
						want, codeOnly = other.want, codeOnly || other.codeOnly
						if cmp.Equal(want, row.want) {
							t.Error("the row lists a difference that is none")
						}
					}
					got := row.do(t, client)
					if codeOnly {
						got, want = outcome{Code: got.Code}, outcome{Code: want.Code}
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("the caller sees (-want +got):\n%.2000s", diff)
					}
				})
			}
		})
	}
}

// do makes the call of a row.
func (c *call) do(t *testing.T, client *connect.Client) outcome {
	t.Helper()
	ctx, info := connect.NewClientContext(t.Context())
	for name, values := range c.headers {
		info.RequestHeader().SetValues(name, values)
	}
	if c.context != nil {
		var cancel context.CancelFunc
		ctx, cancel = c.context(ctx)
		defer cancel()
	}
	do := callsv1connect.NewCallsClient(client).Echo
	if c.absent {
		do = callsv1connect.NewPlainClient(client).Ask
	}
	res, err := do(ctx, &callsv1.EchoRequest{Row: c.name, Payload: c.payload})
	got := outcome{Payload: string(res.GetPayload()), Headers: own(info.ResponseHeader()), Trailers: own(info.ResponseTrailer())}
	if err == nil {
		return got
	}
	got.Code = connect.CodeOf(err)
	made, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return got
	}
	got.Text, got.Remote = made.Message(), made.IsRemote()
	for _, d := range made.Details() {
		m, err := connectproto.UnmarshalErrorDetail(d)
		if err != nil {
			t.Error(err)
			continue
		}
		got.Details = append(got.Details, d.Type+" "+strings.Join(strings.Fields(fmt.Sprint(m)), " "))
	}
	return got
}
