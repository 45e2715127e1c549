package transporttest

import (
	"strings"
	"sync"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

// proofs names the tests that prove an ability where it is claimed. One that is not claimed needs none: that it is refused
// is a test of its own.
var proofs = map[string][]string{
	"durable":         {"what was stored outlives every connection"},
	"groups":          {"every group gets every message", "consumers of a group share its messages"},
	"standing groups": {"a group collects messages without a consumer"},
	"redelivery":      {"a requeued message comes again", "close gives back what is out"},
	"target":          {"a message for one group reaches only that group"},
	"delay":           {"a delayed message is never early"},
	"ttl":             {"an expired message frees its queue"},
	"order":           {"messages of one key arrive in the order sent", "one consumer is active and the next follows it", "a requeued message comes back to its place"},
	"dead letter":     {"dead letters are kept until they are taken"},
	"mandatory":       {"a mandatory message that no queue takes is unroutable"},
	"settlement":      {"deliveries settle at once and in any order", "what the broker has settled is settled whatever follows"},
	"broadcast":       {"a broadcast reaches every process"},
	"reply":           {"a direct message reaches a reply address"},
}

// record is what has passed so far.
type record struct {
	mu     sync.Mutex
	passed map[string]bool
	can    transport.Capabilities
}

func (r *record) add(t *testing.T, name string, can transport.Capabilities) {
	t.Helper()
	if t.Failed() || t.Skipped() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.passed == nil {
		r.passed = make(map[string]bool)
	}
	r.passed[name], r.can = true, can
}

// report prints the table, and hands it to who asked for it. A run of some tests proves nothing about the whole.
func (r *record) report(t *testing.T, h Harness) {
	t.Helper()
	whole := 0
	for _, tests := range [][]test{delivery, groups, ordering, send, metadata, lifecycle, capability, pair} {
		whole += len(tests)
	}
	if t.Failed() || len(r.passed) < whole {
		return
	}
	features := r.can.Features()
	for _, f := range features {
		names := proofs[f.Name]
		if len(names) == 0 {
			t.Errorf("no test of the suite proves %q", f.Name)
		}
		for _, name := range names {
			if !r.passed[name] {
				t.Errorf("%s is claimed as %s, and the test %q is not in the suite", f.Name, f.Ability, name)
			}
		}
		evidence := strings.Join(names, "; ")
		if f.Ability == transport.None {
			evidence = "refused where it can be asked for"
		}
		t.Logf("%-16s%-10s%s", f.Name, f.Ability, evidence)
	}
	if h.Proven != nil && !t.Failed() {
		h.Proven(t, features)
	}
}
