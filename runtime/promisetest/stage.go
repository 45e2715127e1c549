package promisetest

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// patience is how long the suite waits for what must happen; hush for what must not.
const (
	patience = 10 * time.Second
	hush     = 200 * time.Millisecond
)

// group is the group of the suite's command.
const group = "workers"

// stage is what one test works on: a broker, and names of its own.
type stage struct {
	open      func() transport.Transport
	namespace string
	can       transport.Capabilities
}

func newStage(t *testing.T, h Harness) *stage {
	t.Helper()
	s := &stage{open: h.Broker(t), namespace: "promise" + strings.ToLower(rand.Text()[:12])}
	s.can = s.transport(t).Capabilities()
	return s
}

// transport opens a transport for what no runtime would do.
func (s *stage) transport(t *testing.T) transport.Transport {
	t.Helper()
	opened := s.open()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := opened.Close(ctx); err != nil {
			t.Errorf("close the transport: %v", err)
		}
	})
	return opened
}

// runtime opens a runtime of an application, which is closed at the end of the test.
func (s *stage) runtime(t *testing.T, app string, opts ...async.Option) *async.Runtime {
	t.Helper()
	rt, err := async.Open(t.Context(), append([]async.Option{
		async.WithTransport(s.open()), async.WithApp(app), async.WithNamespace(s.namespace),
		async.WithLogger(slog.New(slog.DiscardHandler)), async.WithDrainTimeout(5 * time.Second),
	}, opts...)...)
	must(t, err)
	t.Cleanup(func() { must(t, rt.Close()) })
	return rt
}

// command is an rpc of the suite's: a text for one group. Its backoff is short and without jitter.
func (s *stage) command(change ...func(*async.Spec)) *async.Spec {
	spec := &async.Spec{
		Service: "promise.v1.Work", Method: "Do", Kind: async.KindCommand, Topic: "promise.v1.Work.Do", Group: group,
		Type: "google.protobuf.StringValue", Input: func() proto.Message { return new(wrapperspb.StringValue) },
	}
	spec.Policy.Retry = async.Retry{MaxAttempts: new(uint32(3)), MinBackoff: new(50 * time.Millisecond), Jitter: new(0.0)}
	// Where nothing keeps dead letters, nobody may rely on them.
	spec.Policy.DeadLetter.Disabled = new(s.can.DeadLetter == transport.None)
	for _, c := range change {
		c(spec)
	}
	return spec
}

// event is an rpc of the suite's: a text for every group.
func (s *stage) event() *async.Spec {
	return s.command(func(spec *async.Spec) {
		spec.Kind, spec.Method, spec.Topic, spec.Group = async.KindEvent, "Done", "promise.v1.Work.Done", ""
	})
}

// calling is a call of a handler.
type calling struct {
	text string
	info *async.Info
}

// handlerFunc handles a text.
type handlerFunc func(ctx context.Context, c calling) error

// handle runs a runtime of app with a handler, until the returned function is called or the test ends.
func (s *stage) handle(t *testing.T, app string, spec *async.Spec, h handlerFunc, opts ...async.SubscribeOption) (rt *async.Runtime, stop func()) {
	t.Helper()
	rt = s.runtime(t, app)
	must(t, s.subscribe(rt, spec, h, opts...))
	return rt, run(t, rt)
}

func (s *stage) subscribe(rt *async.Runtime, spec *async.Spec, h handlerFunc, opts ...async.SubscribeOption) error {
	return async.NewSubscriber[*wrapperspb.StringValue](rt, spec).On(func(ctx context.Context, m *wrapperspb.StringValue) error {
		info, _ := async.InfoFrom(ctx)
		return h(ctx, calling{m.GetValue(), info})
	}, opts...)
}

func send(t *testing.T, rt *async.Runtime, spec *async.Spec, text string, opts ...async.SendOption) {
	t.Helper()
	must(t, async.NewPublisher[*wrapperspb.StringValue](rt, spec).Send(t.Context(), wrapperspb.String(text), opts...))
}

// inject sends what no runtime would send.
func (s *stage) inject(t *testing.T, p transport.Publication, msg *message.Message) {
	t.Helper()
	p.Deadline = time.Now().Add(patience)
	done := make(chan error, 2)
	if err := transport.SenderOf(s.transport(t)).Send(t.Context(), p, msg, func(err error) { done <- err }); err != nil {
		done <- err
	}
	must(t, next(t, done, "the answer to a send"))
}

func (s *stage) topic(spec *async.Spec) string { return s.namespace + "." + spec.Topic }

// dead waits for n dead letters and takes them.
func (s *stage) dead(t *testing.T, spec *async.Spec, n int) []*message.Message {
	t.Helper()
	browser, ok := s.transport(t).(transport.Browser)
	if !ok {
		t.Fatal("a transport that keeps dead letters must be a transport.Browser")
	}
	queue := transport.DeadName(s.topic(spec), owner(spec))
	var letters []*message.Message
	eventually(t, "there are dead letters", func() bool {
		more, err := browser.Take(t.Context(), queue, n)
		must(t, err)
		for _, d := range more {
			letters = append(letters, d.Message())
			settled := make(chan error, 1)
			d.Settle(transport.Ack, func(err error) { settled <- err })
			must(t, next(t, settled, "the settlement of a dead letter"))
		}
		return len(letters) >= n
	})
	return letters
}

// owner is the group whose dead letters the suite looks at; its events are handled by the first application.
func owner(spec *async.Spec) string {
	if spec.Group != "" {
		return spec.Group
	}
	return first
}

// The applications of the suite.
const (
	first  = "first"
	second = "second"
)

// run runs a runtime until the end of the test, and returns when it is ready.
func run(t *testing.T, rt *async.Runtime) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- rt.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-result:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end")
		}
	})
	t.Cleanup(stop)
	select {
	case <-rt.Ready():
	case err := <-result:
		result <- err
		t.Fatalf("Run returned before it was ready: %v", err)
	case <-time.After(patience):
		t.Fatal("Run is not ready")
	}
	return stop
}

// next waits for a value.
func next[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Errorf("it did not come: %s", what)
		t.FailNow()
	}
	return v
}

// silent fails when something comes for a while.
func silent[T any](t *testing.T, c <-chan T, what string) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("%s: %v", what, v)
	case <-time.After(hush):
	}
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unsupported fails the test unless err is a clear refusal.
func unsupported(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, transport.ErrUnsupported) {
		t.Errorf("%s is not claimed and got %v, want %v", what, err, transport.ErrUnsupported)
	}
}
