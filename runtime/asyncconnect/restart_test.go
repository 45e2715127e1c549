package asyncconnect_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	callsv1 "github.com/asyncpb/async/internal/gen/acme/calls/v1"
	"github.com/asyncpb/async/internal/gen/acme/calls/v1/callsv1connect"
	"github.com/asyncpb/async/runtime/asyncconnect"
)

// fullBars asks for the sizes that make bars uses, and for a broker of the test's own that is really restarted.
var fullBars = os.Getenv("ASYNC_TEST_BARS") == "full"

// barsFolder is where the figures of full bars are written; nowhere by default.
var barsFolder = os.Getenv("ASYNC_TEST_BARS_OUT")

// restart is what became of the calls that were made while the broker was away.
type restart struct {
	Broker         string         `json:"broker"` // what became of it
	Callers        int            `json:"callers"`
	Calls          int            `json:"calls"`
	LimitSeconds   float64        `json:"limit_seconds"` // each call's
	Answered       int            `json:"answered"`
	Errors         map[string]int `json:"errors"` // by code
	Late           int            `json:"late"`
	Misdelivered   int            `json:"misdelivered"`
	AwaySeconds    float64        `json:"away_seconds"`
	MedianSeconds  float64        `json:"median_seconds"`
	LongestSeconds float64        `json:"longest_seconds"`
	AllSeconds     float64        `json:"all_seconds"`
}

// TestBarEveryCallEndsWhenTheBrokerRestarts lets 64 callers make requests while the broker goes and comes back: every call ends with
// its own reply or with a clear code, within its deadline.
func TestBarEveryCallEndsWhenTheBrokerRestarts(t *testing.T) {
	if !fullBars {
		t.Parallel()
		p := newPlace(t, rabbitMQ)
		wire := newLine(t, p.url)
		p.url = wire.url()
		callThrough(t, p, 2000, 30*time.Second, wire.cut)
		return
	}
	for _, test := range []struct {
		name, broker string
		signal       syscall.Signal
		deadline     time.Duration
	}{
		{"calls wait for a broker that is stopped", "stopped and started", syscall.SIGTERM, 30 * time.Second},
		{"calls wait for a broker that is killed", "killed and started", syscall.SIGKILL, 30 * time.Second},
		{"calls give up before a broker is back", "stopped and started", syscall.SIGTERM, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) { //nolint:paralleltest // each has the machine to itself
			p, node := newPlace(t, rabbitMQ), startNode(t)
			p.url = node.url()
			r := callThrough(t, p, 10_000, test.deadline, func() { node.restart(test.signal) })
			r.Broker = test.broker
			r.keep(t)
		})
	}
}

// callThrough makes the calls, interrupts the broker when a quarter of them has begun, and holds what became of them to the bars.
func callThrough(t *testing.T, p place, calls int, deadline time.Duration, interrupt func()) *restart {
	t.Helper()
	const (
		callers = 64
		slack   = 2 * time.Second
	)
	server := connect.NewServer()
	callsv1connect.RegisterCallsHandler(server, echoes{rows: map[string]call{"": {handle: echo}}})
	responder := p.open(t, "version: 1\n")
	if err := asyncconnect.Serve(responder, server); err != nil {
		t.Fatal(err)
	}
	run(t, responder)
	client := callsv1connect.NewCallsClient(connect.NewClient(asyncconnect.NewTransport(p.open(t, "version: 1\nbindings: {acme.calls.v1.Calls/Echo: {timeout: 60s}}\n"))))

	var (
		next    atomic.Int64
		wg      sync.WaitGroup
		mu      sync.Mutex
		r       = &restart{Callers: callers, Calls: calls, LimitSeconds: deadline.Seconds(), Errors: make(map[string]int)}
		codes   = make(map[connect.Code]int)
		took    []time.Duration
		quarter = make(chan struct{})
	)
	if fullBars {
		receive(t, time.After(aged))
	}
	begin := time.Now()
	for range callers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(calls) {
					return
				}
				if n == int64(calls)/4 {
					close(quarter)
				}
				start := time.Now()
				code, own := askOnce(client, strconv.FormatInt(n, 10), deadline)
				mu.Lock()
				took = append(took, time.Since(start))
				switch {
				case !own:
					r.Misdelivered++
				case code == 0:
					r.Answered++
				default:
					codes[code]++
					r.Errors[code.String()]++
				}
				mu.Unlock()
			}
		})
	}
	receive(t, quarter)
	away := time.Now()
	interrupt()
	r.AwaySeconds = time.Since(away).Seconds()
	wg.Wait()
	r.AllSeconds = time.Since(begin).Seconds()
	slices.Sort(took)
	r.MedianSeconds, r.LongestSeconds = took[len(took)/2].Seconds(), took[len(took)-1].Seconds()
	for _, d := range took {
		if d > deadline+slack {
			r.Late++
		}
	}
	t.Logf("%+v", *r)
	if r.Late > 0 {
		t.Errorf("%d calls took more than %s, the longest %.1f s; their deadline is %s", r.Late, deadline+slack, r.LongestSeconds, deadline)
	}
	if r.Misdelivered > 0 {
		t.Errorf("%d callers got the reply of another", r.Misdelivered)
	}
	for code, n := range codes {
		switch code {
		case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeUnknown:
		default:
			t.Errorf("%d calls ended with %s", n, code)
		}
	}
	if r.Answered < calls/2 {
		t.Errorf("only %d of %d calls were answered", r.Answered, calls)
	}
	return r
}

// aged is how old queues are when their broker is killed: RabbitMQ 3.10 can lose the log of a queue, and with it the queue, that
// was declared less than about three seconds before it is killed.
const aged = 6 * time.Second

// askOnce makes one call. It returns how that ended, 0 is a reply, and whether a reply was its own.
func askOnce(client callsv1connect.CallsClient, text string, timeout time.Duration) (code connect.Code, own bool) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	res, err := client.Echo(ctx, &callsv1.EchoRequest{Payload: []byte(text)})
	if err != nil {
		return connect.CodeOf(err), true
	}
	return 0, string(res.GetPayload()) == text
}

// keep writes the figures to restarts.json in barsFolder, in the place of those of an earlier run.
func (r *restart) keep(t *testing.T) {
	t.Helper()
	if barsFolder == "" {
		return
	}
	file := filepath.Join(barsFolder, "restarts.json")
	var all []*restart
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(all, func(old *restart) bool { return old.Broker == r.Broker && old.LimitSeconds == r.LimitSeconds }); i >= 0 {
		all[i] = r
	} else {
		all = append(all, r)
	}
	if data, err = json.MarshalIndent(all, "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
