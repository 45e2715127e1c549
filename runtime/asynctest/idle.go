package asynctest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// WaitIdle waits until there is nothing left to do: no message waits, is delayed, or is with a handler, and no send is under
// way. When that takes longer than within, it ends the test and says what is still there. A queue that nothing has ever
// consumed does not count: a command for a service that is not part of the test stays where it is. Nor do dead letters.
func (rt *Runtime) WaitIdle(within time.Duration) {
	rt.t.Helper()
	if rt.notStarted() {
		rt.t.Fatalf("asynctest: handlers are registered and none of them receives; call Start before WaitIdle")
		return
	}
	start := time.Now()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		changed := rt.journal.next()
		left := rt.left()
		if len(left) == 0 {
			return
		}
		// A message that expires in its queue leaves without a sign. To look ever less often is cheap, also where days pass
		// in a bubble of synctest.
		look := time.NewTimer(max(time.Since(start)/10, time.Millisecond))
		select {
		case <-changed:
		case <-look.C:
		case <-deadline.C:
			rt.t.Fatalf("asynctest: not idle after %s:\n  %s", within, strings.Join(left, "\n  "))
			return
		}
		look.Stop()
	}
}

// notStarted reports that handlers wait for a Run.
func (rt *Runtime) notStarted() bool {
	select {
	case <-rt.Ready():
		return false
	default:
	}
	rt.tap.mu.Lock()
	defer rt.tap.mu.Unlock()
	return len(rt.tap.consumed) == 0 && len(rt.Health(context.Background()).Bindings) > 0
}

// left describes what there is still to do.
func (rt *Runtime) left() []string {
	rt.tap.mu.Lock()
	consumed := slices.Clone(rt.tap.consumed)
	rt.tap.mu.Unlock()
	var left []string
	if n := rt.tap.sending.Load(); n > 0 {
		left = append(left, fmt.Sprintf("%d sends are under way", n))
	}
	if len(consumed) == 0 {
		return left
	}
	queues, err := rt.tap.Queues(context.Background(), consumed...)
	if err != nil {
		return append(left, err.Error())
	}
	for _, q := range queues {
		if text := describe(q); text != "" && !slices.Contains(left, text) {
			left = append(left, text)
		}
	}
	return left
}

// describe says what a queue holds, "" when it is empty.
func describe(q transport.QueueInfo) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{
		{q.Ready, "waiting"},
		{q.Unsettled, "received and not settled"},
		{q.Delayed, "delayed"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	text := q.Name + ": " + strings.Join(parts, ", ")
	if q.Consumers == 0 {
		text += "; nothing consumes it now (paused, or its loop has ended)"
	}
	return text
}
