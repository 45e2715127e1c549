package promisetest

import (
	"strings"
	"sync"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

// Harness opens the transports under test.
type Harness struct {
	// Broker finds a broker for one test, and returns what opens transports to it. Each is closed by the runtime that gets it; what
	// else there is to close is for t.Cleanup.
	Broker func(t *testing.T) (open func() transport.Transport)
	// Proven, if set, is called once the whole suite has run without a failure, with every row of it.
	Proven func(t *testing.T, rows []Row)
}

// Row is a part of the promise, and whether a runtime on the transport keeps it; otherwise it refuses what asks for it.
type Row struct {
	Name string
	Kept bool
}

// String returns kept or refused.
func (r Row) String() string {
	if r.Kept {
		return "kept"
	}
	return "refused"
}

// part is a row and the tests that prove it.
type part struct {
	name string
	// claimed tells whether the transport has what the part takes; nil for always.
	claimed func(transport.Capabilities) bool
	// refused is run in the place of the tests where it has not.
	refused func(t *testing.T, s *stage)
	tests   []test
}

// test is one case; its name is a sentence.
type test struct {
	name string
	run  func(t *testing.T, s *stage)
}

var parts = []part{
	verdicts, retries, delays, lifetimes, deadLetters, replays, orders, deduplication, groups, drains, pauses, batches, limits,
}

// Run runs the whole suite, its parts in parallel. At its end it prints which rows are kept.
func Run(t *testing.T, h Harness) {
	t.Helper()
	var (
		mu   sync.Mutex
		rows = make([]Row, len(parts))
		done int
	)
	t.Cleanup(func() {
		// A run of some tests proves nothing about the whole.
		if t.Failed() || done < len(parts) {
			return
		}
		for _, r := range rows {
			t.Logf("%-16s%s", r.Name, r)
		}
		if h.Proven != nil {
			h.Proven(t, rows)
		}
	})
	for i, p := range parts {
		t.Run(strings.ReplaceAll(p.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			tests, kept := p.tests, true
			if s := newStage(t, h); p.claimed != nil && !p.claimed(s.can) {
				tests, kept = []test{{"it is refused", p.refused}}, false
			}
			var passed sync.WaitGroup
			t.Cleanup(func() {
				passed.Wait()
				mu.Lock()
				defer mu.Unlock()
				rows[i] = Row{p.name, kept}
				done++
			})
			for _, test := range tests {
				passed.Add(1)
				t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
					t.Parallel()
					t.Cleanup(passed.Done)
					test.run(t, newStage(t, h))
				})
			}
		})
	}
}
