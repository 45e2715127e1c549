package asynctest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	async "github.com/asyncpb/async/runtime"
)

// ErrInjected is the failure of a handler call that [Runtime.FailNext] makes fail, unless it was given another.
var ErrInjected = errors.New("a failure injected by the test")

// FailNext makes the next n handler calls of an rpc, "<service>/<method>", fail with a verdict in place of calling the
// handler: any error, [async.Reject], [async.RetryAfter]; for a request it is the reply. A nil verdict is [ErrInjected].
// Interceptors see the failure as one of the handler. It does not reach batch handlers and deliveries that are settled by
// hand, which interceptors do not see. Failures that were not used up by the end of the test fail it.
func (rt *Runtime) FailNext(rpc string, n int, verdict error) {
	if verdict == nil {
		verdict = ErrInjected
	}
	rt.failures.add(&failure{rpc: rpc, what: "handler calls", left: n, err: verdict})
}

// FailNextSends makes the next n sends of an rpc, "<service>/<method>", fail with an error as the broker's: nothing is stored. A
// nil err is [async.ErrNacked]. Failures that were not used up by the end of the test fail it.
func (rt *Runtime) FailNextSends(rpc string, n int, err error) {
	if err == nil {
		err = async.ErrNacked
	}
	rt.failures.add(&failure{rpc: rpc, what: "sends", left: n, err: err})
}

// failure is what is still to fail.
type failure struct {
	rpc, what string
	left      int
	err       error
}

type failures struct {
	mu   sync.Mutex
	list []*failure
}

func (f *failures) add(one *failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, one)
}

// take returns the next failure of an rpc, nil when there is none.
func (f *failures) take(rpc, what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.list {
		if one.rpc == rpc && one.what == what && one.left > 0 {
			one.left--
			return one.err
		}
	}
	return nil
}

// unused describes the failures that nothing met.
func (f *failures) unused() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var texts []string
	for _, one := range slices.DeleteFunc(slices.Clone(f.list), func(one *failure) bool { return one.left <= 0 }) {
		texts = append(texts, fmt.Sprintf("%d injected failures of %s of %q were not used; name the rpc as <service>/<method>, and ask for no more than come",
			one.left, one.what, one.rpc))
	}
	return texts
}

func (f *failures) wrapHandler(next async.HandleFunc) async.HandleFunc {
	return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
		if err := f.take(in.Spec.Name(), "handler calls"); err != nil {
			return nil, err
		}
		return next(ctx, in)
	}
}

type failureKey struct{}

// wrapSend tells the tap, which stands where the broker would, to fail.
func (f *failures) wrapSend(next async.SendFunc) async.SendFunc {
	return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
		if err := f.take(out.Spec.Name(), "sends"); err != nil {
			ctx = context.WithValue(ctx, failureKey{}, err)
		}
		return next(ctx, out)
	}
}

func failureIn(ctx context.Context) error {
	err, _ := ctx.Value(failureKey{}).(error)
	return err
}
