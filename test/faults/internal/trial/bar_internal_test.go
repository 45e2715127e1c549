package trial

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trialOf is a session of a fault that has journals and no processes.
func trialOf(t *testing.T, number string, queue string) *session {
	t.Helper()
	chosen, err := Choose(number)
	if err != nil {
		t.Fatal(err)
	}
	return &session{Lab: new(Lab), fault: chosen[0], queue: queue, dir: t.TempDir(), consumers: 1, figures: make(map[string]float64)}
}

func (s *session) write(t *testing.T, name string, entries ...journal.Entry) {
	t.Helper()
	j, err := journal.Open(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Write(entries...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// burdened is a process whose memory is given.
type burdened struct {
	party

	memories []int64
}

func (*burdened) running() bool { return true }

func (b *burdened) memory() int64 {
	m := b.memories[0]
	if len(b.memories) > 1 {
		b.memories = b.memories[1:]
	}
	return m
}

// TestBarsAreBroken breaks each bar that is not the checker's, and each by a little less than that.
func TestBarsAreBroken(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	grown := func(memories ...int64) func(t *testing.T, s *session) error {
		return func(t *testing.T, s *session) error {
			t.Helper()
			s.producer, s.consumer = &burdened{memories: []int64{mib}}, &burdened{memories: memories}
			return s.growth().watch(t.Context(), 3*time.Second, 16)
		}
	}
	// poisonous writes down one poison message that was refused so many times in a second.
	poisonous := func(refused int) func(t *testing.T, s *session) error {
		return func(t *testing.T, s *session) error {
			t.Helper()
			id := "run-1-10"
			began := journal.Entry{Kind: journal.Began, ID: id}
			s.write(t, "consumer-0", began, began, began, journal.Entry{Kind: journal.Unburied, Attempt: refused})
			s.write(t, "dead", journal.Entry{Kind: journal.Dead, ID: id})
			s.note(refusing, 10)
			return alarmed(s, &Result{Dead: 1})
		}
	}
	waiting := func(n int) func(t *testing.T, s *session) error {
		return func(t *testing.T, s *session) error {
			t.Helper()
			var sent []journal.Entry
			for i := range n {
				sent = append(sent, journal.Entry{Kind: journal.Accepted, ID: "run-1-" + strings.Repeat("1", i%9+1) + time.Duration(i).String()})
			}
			s.write(t, "producer", sent...)
			return s.bounded()
		}
	}
	late := func(ms float64) func(t *testing.T, s *session) error {
		return func(_ *testing.T, s *session) error {
			s.note("latest send ms over its time", ms)
			return punctual(s, nil)
		}
	}
	for _, row := range []struct {
		name, fault, queue string
		judge              func(t *testing.T, s *session) error
		want               string
	}{
		{"one side grows, and shrinks again", "F6", inMemory, grown(mib, mib, 20*mib, mib), "the consumer grew by 19 MiB, and 16 are allowed"},
		{"one side grows a little", "F6", inMemory, grown(mib, 17*mib), ""},
		{"a send is late", "F9", "quorum", late(101), "came back 101 ms after its context had ended"},
		{"no send is late", "F9", "quorum", late(0), ""},
		{"a dead letter is tried without a pause", "F13", "quorum", poisonous(11), "tried to be stored 11 times in 10 s"},
		{"a dead letter is tried once a second", "F13", "quorum", poisonous(10), ""},
		{"no dead letter was refused", "F13", "quorum", poisonous(0), "the consumer counted no dead letters that could not be stored"},
		{"more waits than a queue takes", "F14", inMemory, waiting(capacity + 32 + 16*workers + 1), "messages wait"},
		{"as many wait as a queue takes", "F14", inMemory, waiting(capacity + 32), ""},
		{"a queue of the broker's takes more", "F14", "quorum", waiting(capacity + 32 + 16*workers + 1), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := trialOf(t, row.fault, row.queue)
				if err := row.judge(t, s); err != nil {
					t.Fatal(err)
				}
				said := strings.Join(s.broken, "\n")
				if row.want == "" && said != "" || !strings.Contains(said, row.want) {
					t.Errorf("got %q, want %q", said, row.want)
				}
			})
		})
	}
}

// TestWhatWasNotBrokenProvesNothing: messages that went through undisturbed are no result.
func TestWhatWasNotBrokenProvesNothing(t *testing.T) {
	t.Parallel()
	e := journal.Entry{ID: "run-1-1", RPC: load.Commands.RPC()}
	of := func(kind journal.Kind) journal.Entry {
		e.Kind = kind
		return e
	}
	sent, got := []journal.Entry{of(journal.Sent), of(journal.Accepted)}, []journal.Entry{of(journal.Handled)}
	conditions := trialOf(t, "F1", "quorum").conditions()
	if r := Compare(sent, got, conditions, 1); len(r.Broken) > 0 {
		t.Errorf("got %v", r.Broken)
	}
	if r := Compare(sent, got, conditions, 0); !slices.Contains(r.Broken, "nothing was injected, so nothing was proven") {
		t.Errorf("nothing was injected: %v", r.Broken)
	}
	if r := Compare(nil, nil, conditions, 1); !slices.Contains(r.Broken, "nothing was accepted, so nothing was proven") {
		t.Errorf("nothing was accepted: %v", r.Broken)
	}
}
