// Package hangtest ends a fuzz target that thinks too long about one input. Go's own fuzzing waits for it without end, and a
// run that is stopped by its time takes it for one that has found nothing.
package hangtest

import (
	"fmt"
	"runtime/debug"
	"time"
)

// Limit is how long one input may take.
const Limit = time.Second

// Watch begins the time of one input and returns what ends it: defer hangtest.Watch()(). An input that takes longer than [Limit] ends
// the process, with what each goroutine is at. The fuzzer keeps such an input as it keeps one that panics.
func Watch() (stop func()) {
	timer := time.AfterFunc(Limit, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("the input takes longer than %s", Limit))
	})
	return func() { timer.Stop() }
}
