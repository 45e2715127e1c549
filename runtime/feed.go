package async

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// feed is one consumption of a binding with its workers, from its start to its drain. A binding that is paused and resumed
// gets a new one.
type feed struct {
	b      *binding
	run    context.Context // Run's: when it has ended, a drain follows
	ctx    context.Context // parent of the handlers' contexts
	cancel context.CancelCauseFunc
	unlink func() bool
	// lifelines are the parents of the handlers' contexts.
	lifelines lifelines

	lanes       []*lane       // one; or where keys are in order, one for each unit of concurrency
	draining    chan struct{} // closed: what was not begun goes back
	halting     atomic.Bool   // draining is closed, or about to be
	haltOnce    sync.Once
	drainOnce   sync.Once
	consumption transport.Consumption
	open        sync.WaitGroup // deliveries that are not settled
	held        atomic.Int64   // those among them that wait because the broker did not take what becomes of them

	mu       sync.Mutex
	halted   bool        // nothing is fetched any more
	leftover []*delivery // what goes back as soon as nothing is fetched: before, it would come again at once
}

func newFeed(values context.Context, b *binding) *feed {
	f := &feed{b: b, run: values, draining: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancelCause(background(values))
	f.unlink = context.AfterFunc(b.rt.handlersCtx, func() { f.cancel(context.Cause(b.rt.handlersCtx)) })
	switch {
	case b.mode == modePull:
		f.lanes = []*lane{newLane(b.rt.crew, 0, nil)}
	case b.mode == modeBatch:
		f.lanes = []*lane{newLane(b.rt.crew, b.sub.Concurrency, func(l *lane, x *delivery) { f.processBatch(f.gather(l, x)) })}
	case b.sub.Ordered:
		for range b.sub.Concurrency {
			f.lanes = append(f.lanes, newLane(b.rt.crew, 1, processOne))
		}
	default:
		f.lanes = []*lane{newLane(b.rt.crew, b.sub.Concurrency, processOne)}
	}
	return f
}

func processOne(_ *lane, x *delivery) { x.process() }

// abandon frees a feed that never ran.
func (f *feed) abandon() {
	f.unlink()
	f.cancel(nil)
}

var laneSeed = maphash.MakeSeed()

// receive takes a delivery from the driver. A handler may be called before Consume has returned.
func (f *feed) receive(d transport.Delivery) {
	f.open.Add(1)
	msg := d.Message()
	f.enqueue(&delivery{feed: f, d: d, msg: msg, life: msg.Context(), attempt: readAttempt(msg.Metadata)})
}

func (f *feed) enqueue(x *delivery) {
	lane := f.lanes[0]
	if n := len(f.lanes); n > 1 {
		lane = f.lanes[maphash.String(laneSeed, x.msg.Metadata[transport.MetaKey])%uint64(n)]
	}
	if f.isDraining() || !lane.put(x) {
		f.giveBack(x)
	}
}

func (f *feed) isDraining() bool { return f.halting.Load() }

// isStopping is isDraining from the moment on in which the drain is certain. Handlers may hear of it sooner than Run does.
func (f *feed) isStopping() bool { return f.isDraining() || f.run.Err() != nil }

// gather waits for a full batch, at most linger long.
func (f *feed) gather(l *lane, x *delivery) []*delivery {
	batch := append(make([]*delivery, 0, f.b.max), x)
	timer := time.NewTimer(f.b.linger)
	defer timer.Stop()
	for len(batch) < f.b.max {
		x := l.wait(context.Background(), f.draining, timer.C)
		if x == nil {
			break
		}
		batch = append(batch, x)
	}
	return batch
}

// halt stops fetching and gives back what was not begun.
func (f *feed) halt(ctx context.Context) (err error) {
	f.haltOnce.Do(func() {
		f.halting.Store(true)
		close(f.draining)
		err = f.consumption.Stop(ctx)
		f.mu.Lock()
		f.halted = true
		leftover := f.leftover
		f.leftover = nil
		f.mu.Unlock()
		for _, x := range leftover {
			x.requeue()
		}
		for _, l := range f.lanes {
			l.close()
			// Workers may do the same at the same time.
			for x := l.take(); x != nil; x = l.take() {
				x.requeue()
			}
		}
	})
	return err
}

// giveBack puts a delivery back that was not begun. One that is lost the broker has already, so there is nothing to keep
// until the drain.
func (f *feed) giveBack(x *delivery) {
	f.mu.Lock()
	if !f.halted && !x.lost() {
		f.leftover = append(f.leftover, x)
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	x.requeue()
}

// drainGrace is how long handlers have to return after their contexts were cancelled.
const drainGrace = time.Second

// drain halts, waits for what was begun, until ctx ends, and closes the consumption. What is unsettled then goes back too.
func (f *feed) drain(ctx context.Context) error {
	err := f.halt(ctx)
	f.drainOnce.Do(func() {
		wait, stopWait := context.WithCancelCause(ctx)
		unlink := context.AfterFunc(f.b.rt.handlersCtx, func() { stopWait(context.Cause(f.b.rt.handlersCtx)) })
		if waitGroup(wait, &f.open) != nil {
			f.cancel(ErrDrainTimeout)
			grace, cancel := context.WithTimeout(background(ctx), drainGrace)
			if waitGroup(grace, &f.open) != nil {
				f.b.rt.log.Warn("handlers did not end in time: their messages go back", "binding", f.b.name())
			}
			cancel()
		}
		unlink()
		stopWait(nil)
		closing, cancel := context.WithTimeout(background(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, f.consumption.Close(closing))
		f.abandon()
	})
	return err
}

// closeTimeout bounds what a drain asks of the broker after its time is up.
const closeTimeout = 5 * time.Second
