package async

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// feed is one consumption of a binding with its workers, from its start to its drain. A binding that is paused and resumed
// gets a new one.
type feed struct {
	b      *binding
	ctx    context.Context // parent of the handlers' contexts
	cancel context.CancelCauseFunc
	unlink func() bool
	// lifelines are the parents of the handlers' contexts.
	lifelines lifelines

	queues      []chan *delivery // one; or one for each lane of an ordered binding
	draining    chan struct{}    // closed: what was not begun goes back
	stopped     chan struct{}    // closed: workers end
	haltOnce    sync.Once
	drainOnce   sync.Once
	consumption transport.Consumption
	open        sync.WaitGroup // deliveries that are not settled
	workers     sync.WaitGroup

	mu       sync.Mutex
	halted   bool        // nothing is fetched any more
	leftover []*delivery // what goes back as soon as nothing is fetched: before, it would come again at once
}

func newFeed(values context.Context, b *binding) *feed {
	f := &feed{b: b, draining: make(chan struct{}), stopped: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancelCause(background(values))
	f.unlink = context.AfterFunc(b.rt.handlersCtx, func() { f.cancel(context.Cause(b.rt.handlersCtx)) })
	lanes := 1
	if b.sub.Ordered && b.mode == modePush {
		lanes = b.sub.Concurrency
	}
	for range lanes {
		f.queues = append(f.queues, make(chan *delivery, b.sub.Prefetch))
	}
	return f
}

// abandon frees a feed that never ran.
func (f *feed) abandon() {
	f.unlink()
	f.cancel(nil)
}

func (f *feed) run(c transport.Consumption) {
	f.consumption = c
	for i := range f.b.sub.Concurrency {
		queue := f.queues[i%len(f.queues)]
		switch f.b.mode {
		case modePush:
			f.workers.Go(func() { f.work(queue) })
		case modeBatch:
			f.workers.Go(func() { f.collect(queue) })
		case modePull:
		}
	}
}

var laneSeed = maphash.MakeSeed()

// receive takes a delivery from the driver. The queue has room for all that can be out at once; only deliveries that were
// lost with a connection and wait for a worker can fill it up.
func (f *feed) receive(d transport.Delivery) {
	f.open.Add(1)
	msg := d.Message()
	x := &delivery{feed: f, d: d, msg: msg, life: msg.Context(), attempt: readAttempt(msg.Metadata)}
	f.enqueue(x)
}

func (f *feed) enqueue(x *delivery) {
	queue := f.queues[0]
	if n := len(f.queues); n > 1 {
		queue = f.queues[maphash.String(laneSeed, x.msg.Metadata[transport.MetaKey])%uint64(n)]
	}
	select {
	case queue <- x:
	case <-f.draining:
		f.giveBack(x)
	}
}

func (f *feed) isDraining() bool {
	select {
	case <-f.draining:
		return true
	default:
		return false
	}
}

// work handles one delivery after the other. A handler that ends its goroutine (runtime.Goexit) takes this worker with it;
// a new one takes its place.
func (f *feed) work(queue chan *delivery) {
	finished := false
	defer func() {
		if !finished {
			f.workers.Go(func() { f.work(queue) })
		}
	}()
	for {
		select {
		case x := <-queue:
			x.process()
		case <-f.stopped:
			finished = true
			return
		}
	}
}

// collect gathers batches.
func (f *feed) collect(queue chan *delivery) {
	finished := false
	defer func() {
		if !finished {
			f.workers.Go(func() { f.collect(queue) })
		}
	}()
	for {
		select {
		case x := <-queue:
			f.processBatch(f.gather(queue, x))
		case <-f.stopped:
			finished = true
			return
		}
	}
}

// gather waits for a full batch, at most linger long.
func (f *feed) gather(queue chan *delivery, x *delivery) []*delivery {
	batch := append(make([]*delivery, 0, f.b.max), x)
	timer := time.NewTimer(f.b.linger)
	defer timer.Stop()
	for len(batch) < f.b.max {
		select {
		case x := <-queue:
			batch = append(batch, x)
		case <-timer.C:
			return batch
		case <-f.draining:
			return batch
		}
	}
	return batch
}

// halt stops fetching and gives back what was not begun.
func (f *feed) halt(ctx context.Context) (err error) {
	f.haltOnce.Do(func() {
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
		for _, queue := range f.queues {
			f.empty(queue)
		}
	})
	return err
}

// giveBack puts a delivery back that was not begun.
func (f *feed) giveBack(x *delivery) {
	f.mu.Lock()
	if !f.halted {
		f.leftover = append(f.leftover, x)
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	x.requeue()
}

// empty gives back what waits in a queue. Workers may do the same at the same time.
func (f *feed) empty(queue chan *delivery) {
	for {
		select {
		case x := <-queue:
			x.requeue()
		default:
			return
		}
	}
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
		close(f.stopped)
		f.abandon()
	})
	return err
}

// closeTimeout bounds what a drain asks of the broker after its time is up.
const closeTimeout = 5 * time.Second
