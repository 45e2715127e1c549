package async

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Receipt is the broker's answer to one send, now or later. Its methods may be called from many goroutines at once.
type Receipt struct {
	id   string
	mu   sync.Mutex
	done chan struct{} // made when somebody asks
	then []func(error)
	err  error
	set  bool

	observed *sendObservation // hears first; nil for nobody
	ending   bool
}

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func newReceipt(id string) *Receipt { return &Receipt{id: id} }

// FailedReceipt returns a receipt that has resolved with err: what an interceptor returns that refuses a message.
func FailedReceipt(id string, err error) *Receipt { return &Receipt{id: id, err: err, set: true} }

// ID returns the message id.
func (r *Receipt) ID() string { return r.id }

// Done returns a channel that is closed when the answer is there.
func (r *Receipt) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		if r.set {
			r.done = closedChan
		} else {
			r.done = make(chan struct{})
		}
	}
	return r.done
}

// Err returns the answer: nil while there is none, and nil when the broker has stored the message. The errors are those of
// a send: [ErrUnroutable], [ErrNacked], [ErrBlocked], [ErrUnknown], [ErrTooLarge], [ErrBacklog], [ErrClosed].
func (r *Receipt) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Wait waits for the answer and returns it. When ctx ends first the error wraps [ErrUnknown] and the context's cause; the
// send goes on.
func (r *Receipt) Wait(ctx context.Context) error {
	select {
	case <-r.Done():
		return r.Err()
	default:
	}
	select {
	case <-r.Done():
		return r.Err()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

// lastWord is how long after the end of its context a send waits for the transport to say what has become of the message: that
// it was never written is better news than that nobody knows.
const lastWord = 60 * time.Millisecond

// conclude is Wait with the transport's last word.
func (r *Receipt) conclude(ctx context.Context) error {
	select {
	case <-r.Done():
		return r.Err()
	case <-ctx.Done():
	}
	late, cancel := afterwards(ctx)
	defer cancel()
	return r.Wait(late)
}

// afterwards lives for the last word of sends whose ctx has ended.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(ctx), lastWord, context.Cause(ctx))
}

// Then calls f with the answer: at once if it is there, else from the goroutine that brings it. f must not block.
func (r *Receipt) Then(f func(error)) {
	r.mu.Lock()
	if !r.set {
		r.then = append(r.then, f)
		r.mu.Unlock()
		return
	}
	err := r.err
	r.mu.Unlock()
	f(err)
}

// watch has o hear the answer before anybody else: at once if it is there. It is called before the receipt is handed out.
func (r *Receipt) watch(o *sendObservation) {
	r.mu.Lock()
	if !r.set {
		r.observed = o
		r.mu.Unlock()
		return
	}
	err := r.err
	r.mu.Unlock()
	o.end(err)
}

// resolve sets the answer; only the first one counts.
func (r *Receipt) resolve(err error) bool {
	r.mu.Lock()
	if r.set || r.ending {
		r.mu.Unlock()
		return false
	}
	if r.observed != nil {
		r.ending = true
		r.mu.Unlock()
		r.observed.end(err)
		r.mu.Lock()
	}
	r.set, r.err = true, err
	then := r.then
	r.then = nil
	if r.done != nil {
		close(r.done)
	}
	r.mu.Unlock()
	for _, f := range then {
		f(err)
	}
	return true
}
