package async

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// phase is where a runtime is in its life. It only grows.
type phase uint8

const (
	phaseIdle phase = iota
	phaseRunning
	phaseRan
	phaseClosing
	phaseClosed
)

// errShutdown is the cause of Run's end when Shutdown ends it.
var errShutdown = errors.New("the runtime is shut down")

// Run declares the queues of every registered handler, consumes them, closes Ready, and goes on until ctx ends or Shutdown is
// called. Then it drains, for at most drain_timeout: it stops fetching, lets handlers finish and settles; what was not finished
// goes back, uncounted. It returns nil, or what was wrong with the wiring or the start; then nothing is consumed. A runtime
// runs once: a second Run is [ErrRunning], one after Shutdown [ErrClosed]. Sends and requests do not need Run and go on after it.
func (rt *Runtime) Run(ctx context.Context) error {
	runCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	bindings, err := rt.beginRun(stop)
	if err != nil {
		return fmt.Errorf("async: run: %w", err)
	}
	defer rt.endRun()
	rt.checkBudget(ctx, bindings)
	err = rt.startAll(runCtx, ctx, bindings)
	if err == nil {
		close(rt.ready)
		<-runCtx.Done()
	}
	drain, cancel := context.WithTimeoutCause(background(ctx), rt.drainTimeout, ErrDrainTimeout)
	defer cancel()
	rt.drainAll(drain, bindings)
	if err != nil && runCtx.Err() == nil {
		return fmt.Errorf("async: run: %w", err)
	}
	return nil
}

func (rt *Runtime) beginRun(stop context.CancelCauseFunc) ([]*binding, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	switch {
	case rt.phase >= phaseClosing:
		return nil, ErrClosed
	case rt.phase != phaseIdle:
		return nil, ErrRunning
	}
	if err := errors.Join(rt.problems...); err != nil {
		return nil, err
	}
	rt.phase = phaseRunning
	rt.stopRun = stop
	rt.ranOut = make(chan struct{})
	var push []*binding
	for _, b := range rt.bindings {
		if b.mode != modePull && !b.mounted {
			push = append(push, b)
		}
	}
	return push, nil
}

func (rt *Runtime) endRun() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.phase == phaseRunning {
		rt.phase = phaseRan
	}
	close(rt.ranOut)
}

// startAll declares everything before it consumes anything, so that a handler's first message finds all queues in place.
func (rt *Runtime) startAll(ctx, values context.Context, bindings []*binding) error {
	var errs []error
	for _, b := range bindings {
		if d := b.route.link.declarer; d != nil {
			if err := d.Declare(ctx, b.sub); err != nil {
				errs = append(errs, opError("subscribe", b.route.spec, err))
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, b := range bindings {
		if err := b.start(ctx, values); err != nil {
			return err
		}
	}
	return nil
}

// drainAll drains all bindings side by side.
func (rt *Runtime) drainAll(ctx context.Context, bindings []*binding) {
	done := make(chan struct{}, len(bindings))
	for _, b := range bindings {
		go func() {
			defer func() { done <- struct{}{} }()
			if err := b.stop(ctx); err != nil {
				rt.log.Warn("a drain was not clean", "binding", b.name(), "error", err)
			}
		}()
	}
	for range bindings {
		<-done
	}
}

// Ready returns a channel that is closed when Run consumes everything.
func (rt *Runtime) Ready() <-chan struct{} { return rt.ready }

// Shutdown ends Run, drains, waits for every open send and reply, and closes the transports. When ctx ends first, it gives up
// waiting: handlers' contexts end, open sends resolve with [ErrUnknown], and the error tells. It is idempotent: a second call
// waits for the first and returns its error.
func (rt *Runtime) Shutdown(ctx context.Context) error {
	rt.mu.Lock()
	if rt.phase >= phaseClosing {
		rt.mu.Unlock()
		select {
		case <-rt.finished:
			return rt.finalErr
		case <-ctx.Done():
			return fmt.Errorf("async: shutdown: %w", context.Cause(ctx))
		}
	}
	rt.phase = phaseClosing
	stopRun, ranOut := rt.stopRun, rt.ranOut
	bindings := slices.Clone(rt.bindings)
	rt.mu.Unlock()

	hurry := context.AfterFunc(ctx, func() { rt.handlersStop(ErrDrainTimeout) })
	defer hurry()
	if stopRun != nil {
		stopRun(errShutdown)
		<-ranOut
	}
	for _, b := range bindings {
		b.seal()
	}
	drain, cancel := context.WithTimeoutCause(ctx, rt.drainTimeout, ErrDrainTimeout)
	defer cancel()
	rt.drainAll(drain, bindings)
	_ = waitGroup(drain, &rt.background) // what is held by then goes back
	rt.handlersStop(ErrDrainTimeout)
	rt.background.Wait()
	rt.crew.close()

	// What ends now did not use up the time itself.
	last, release := drain, func() {}
	if deadline, bounded := drain.Deadline(); drain.Err() != nil || bounded && time.Until(deadline) < drainGrace {
		last, release = context.WithTimeoutCause(background(ctx), drainGrace, ErrDrainTimeout)
	}
	defer release()
	var errs []error
	for _, l := range rt.links {
		errs = append(errs, l.inbox.close(last))
	}
	if err := rt.flush(last); err != nil {
		errs = append(errs, fmt.Errorf("open sends: %w", err))
	}
	errs = append(errs, rt.closeLinks(last))
	if err := errors.Join(errs...); err != nil {
		rt.finalErr = fmt.Errorf("async: shutdown: %w", err)
	}
	rt.mu.Lock()
	rt.phase = phaseClosed
	rt.mu.Unlock()
	close(rt.finished)
	return rt.finalErr
}

// Close is [Runtime.Shutdown] bounded by drain_timeout.
func (rt *Runtime) Close() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), rt.drainTimeout, ErrDrainTimeout)
	defer cancel()
	return rt.Shutdown(ctx)
}
