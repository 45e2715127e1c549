package async

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"
)

// DedupState is what a [DedupStore] knows of a key.
type DedupState uint8

// The states of a key.
const (
	// DedupFresh: nobody handles the message and nobody has; the caller holds its lease now.
	DedupFresh DedupState = iota + 1
	// DedupBusy: somebody else holds the lease.
	DedupBusy
	// DedupDone: the message was handled.
	DedupDone
)

// DedupStore remembers which messages were handled. Every process of a group has to use the same one: a table or a cache
// that they share; [MemoryDedupStore] serves one process. Its methods are called from many goroutines at once.
type DedupStore interface {
	// Begin takes the lease of key, for at most lease, unless the key is done or leased: it tells which. To look and to
	// take is one step. An error makes the delivery a failed attempt.
	Begin(ctx context.Context, key string, lease time.Duration) (DedupState, error)
	// End gives the lease of key back. With ok the key is done for window; without, the next Begin finds it fresh.
	End(ctx context.Context, key string, ok bool, window time.Duration) error
}

const (
	// dedupLease is how long the message of a process that died stays with it.
	dedupLease = 5 * time.Minute
	// dedupEnd bounds End, which must not be left out because a handler's context has ended.
	dedupEnd = 5 * time.Second
	// A duplicate looks again after dedupFirstPause, then after twice as long, up to dedupLastPause.
	dedupFirstPause, dedupLastPause = 10 * time.Millisecond, time.Second
)

// Deduplicate returns an interceptor that hands each message of a group to its handler until the handler has returned nil, and
// not again for window after that: a later delivery with the same message id is acknowledged unseen. It is for subscriptions;
// give it to them, or to a runtime with [WithInterceptors].
//
// The key is rpc, group and message id. It is marked after the handler's success only, so a message is never lost by it: one
// whose handler fails, or whose process dies, is handled again. A duplicate that comes while another is being handled waits
// for its outcome, until its own context ends, and occupies a worker meanwhile. A handler has a lease of 5 minutes: one that
// takes longer may see a duplicate at work beside it, and what a process held when it died is handled again when the lease has
// ended. An End that fails is logged and leaves the message handled. It makes duplicates rare and not impossible: where one
// effect for each id is a must, write id and effect in one transaction.
//
// Requests pass through and store nothing: their callers wait for an answer. Batch handlers have no interceptors.
func Deduplicate(store DedupStore, window time.Duration) Interceptor {
	d := &deduplicator{store: store, window: window}
	return Interceptor{Handle: func(next HandleFunc) HandleFunc {
		return func(ctx context.Context, in *Incoming) (proto.Message, error) {
			if in.Spec.Kind == KindRequest {
				return next(ctx, in)
			}
			return d.handle(ctx, in, next)
		}
	}}
}

type deduplicator struct {
	store  DedupStore
	window time.Duration
}

func (d *deduplicator) handle(ctx context.Context, in *Incoming, next HandleFunc) (reply proto.Message, err error) {
	// The id may hold anything that a stranger sent, so it stands last.
	key := in.Info.RPC + " " + in.Info.Group + " " + in.Info.ID
	done, err := d.begin(ctx, key)
	if done || err != nil {
		return nil, err
	}
	ok := false
	// A panic and a Goexit end here too.
	defer func() { d.end(ctx, key, ok) }()
	reply, err = next(ctx, in)
	ok = err == nil
	return reply, err
}

// begin returns when the lease is taken, or done is known.
func (d *deduplicator) begin(ctx context.Context, key string) (done bool, err error) {
	for pause := dedupFirstPause; ; pause = min(2*pause, dedupLastPause) {
		state, err := d.store.Begin(ctx, key, dedupLease)
		if err != nil || state != DedupBusy {
			return state == DedupDone, err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, context.Cause(ctx)
		}
	}
}

func (d *deduplicator) end(ctx context.Context, key string, ok bool) {
	bounded, cancel := context.WithTimeout(background(ctx), dedupEnd)
	defer cancel()
	err := d.store.End(bounded, key, ok, d.window)
	if err == nil {
		return
	}
	if call := callOf(ctx); call != nil {
		x := call.delivery
		x.feed.b.rt.log.ErrorContext(x.logContext(), "the store of handled messages could not be told of one", x.logArgs("handled", ok, "error", err)...)
	}
}
