package asynctest

import (
	"context"
	"time"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// T is what the kit needs of a test: a [*testing.T], [*testing.B] or [*testing.F] has it, and so have other frameworks.
type T interface {
	Helper()
	Context() context.Context
	Cleanup(f func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Runtime is a runtime for one test, on a broker of its own. The embedded Runtime is what generated constructors take. Its
// methods may be called from many goroutines at once, but for those that can end the test, [Runtime.Start] and
// [Runtime.WaitIdle]: they belong to the goroutine of the test.
type Runtime struct {
	*async.Runtime

	t        T
	tap      *tap
	journal  *journal
	failures *failures
	run      chan error // the result of Run, once it was started
}

// drainTimeout is short: a handler that hangs shall not hold up a test.
const drainTimeout = 5 * time.Second

// New opens a runtime that is closed at the end of the test, which fails if Run or Close does, or if it cannot be opened. The
// options are those of [async.Open]; the transport is the kit's, whatever they say. By default the application is called
// "test", so that events have a group, a drain takes at most 5 s, and the runtime's log goes to the test's.
func New(t T, opts ...async.Option) *Runtime {
	t.Helper()
	journal := newJournal()
	rt := &Runtime{t: t, journal: journal, failures: new(failures), tap: newTap(memorytransport.New(), journal)}
	log := &testLog{t: t}
	all := []async.Option{
		async.WithApp("test"), async.WithDrainTimeout(drainTimeout), async.WithLogger(log.logger()),
		async.WithInterceptors(async.Interceptor{Handle: journal.watchHandler}),
	}
	all = append(all, opts...)
	// Innermost: an interceptor of the user's sees an injected failure as one of the handler, and what is listed as
	// published is what the user's interceptors made of it.
	all = append(all,
		async.WithInterceptors(async.Interceptor{Handle: rt.failures.wrapHandler}),
		async.WithInterceptors(async.Interceptor{Send: journal.watchSend}, async.Interceptor{Send: rt.failures.wrapSend}),
		async.WithTransport(rt.tap))
	opened, err := async.Open(t.Context(), all...)
	if err != nil {
		t.Fatalf("asynctest: %v", err)
		return nil
	}
	rt.Runtime = opened
	t.Cleanup(func() {
		t.Helper()
		if err := opened.Close(); err != nil {
			t.Errorf("asynctest: %v", err)
		}
		if rt.run != nil {
			if err := <-rt.run; err != nil {
				t.Errorf("asynctest: %v", err)
			}
		}
		for _, unused := range rt.failures.unused() {
			t.Errorf("asynctest: %s", unused)
		}
		log.close()
	})
	return rt
}

// Start runs the runtime until the end of the test, and returns when every handler that was registered receives. Register
// handlers before; what is published before an event's handler receives has no taker. It ends the test when Run fails,
// or when it was called before.
func (rt *Runtime) Start() {
	rt.t.Helper()
	if rt.run != nil {
		rt.t.Fatalf("asynctest: Start was called before; register every handler, then start once")
		return
	}
	rt.run = make(chan error, 1)
	go func() { rt.run <- rt.Run(context.Background()) }()
	select {
	case <-rt.Ready():
	case err := <-rt.run:
		rt.run <- nil // reported here
		rt.t.Fatalf("asynctest: start: %v", err)
	}
}

// DeliverTwice delivers every message from now on twice to each group: once more after it was handled, with the same id
// and attempt. What was not handled (it is tried again, or is a dead letter) comes once. A request is answered twice; its
// caller gets the first answer. A handler that does the same work for one message once is idempotent.
func (rt *Runtime) DeliverTwice() { rt.tap.twice.Store(true) }
