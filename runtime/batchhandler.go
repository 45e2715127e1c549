package async

import (
	"context"
	"errors"
)

// processBatch hands the fit ones of a batch to the handler, and its verdict to those that the handler did not settle.
func (f *feed) processBatch(gathered []*delivery) {
	entries := gathered[:0]
	for _, x := range gathered {
		if x.lost() {
			x.requeue()
			continue
		}
		if f.isStopping() {
			f.giveBack(x)
			continue
		}
		if x.prepare() {
			entries = append(entries, x)
		}
	}
	if len(entries) == 0 {
		return
	}
	verdict := errGoexit
	end := f.beginBatch(entries)
	// A handler may go on after it has settled all that it was given, and a drain waits for it.
	f.open.Add(1)
	defer func() {
		end(verdict)
		for _, x := range entries {
			x.settleBy(verdict, nil)
		}
		f.open.Done()
	}()
	verdict = f.callBatch(entries)
}

// callBatch calls the handler; a panic is an error. It does not return from the end of the goroutine.
func (f *feed) callBatch(entries []*delivery) (verdict error) {
	finished := false
	defer func() {
		switch r := recover(); {
		case r != nil:
			verdict = entries[0].panicked(r)
		case !finished:
			entries[0].exited()
		}
	}()
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(errors.New("the batch handler has returned"))
	verdict = f.b.batch(entries[0].observedContext(ctx), entries)
	finished = true
	return verdict
}
