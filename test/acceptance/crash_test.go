package acceptance_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fleet is two applications with two processes each.
type fleet struct {
	billing, shipping [2]*process
}

func (f fleet) all() []*process { return slices.Concat(f.billing[:], f.shipping[:]) }

func launchFleet(t *testing.T, r *realm) fleet {
	t.Helper()
	consumer := func(app, name string) *process {
		return launch(t, name, assignment{Role: "consumer", Namespace: r.name, App: app, Handling: 2 * time.Millisecond})
	}
	f := fleet{
		billing:  [2]*process{consumer("billing", "billing-1"), consumer("billing", "billing-2")},
		shipping: [2]*process{consumer("shipping", "shipping-1"), consumer("shipping", "shipping-2")},
	}
	for _, p := range f.all() {
		p.awaitReady(t)
	}
	return f
}

// handled counts how often each id was handled by processes, events or commands only.
func handled(t *testing.T, kind string, processes ...*process) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, p := range processes {
		for _, id := range p.entries(t, entryHandled) {
			if strings.HasPrefix(id, kind) {
				counts[id]++
			}
		}
	}
	return counts
}

// ofKind picks the ids of events, or of commands.
func ofKind(ids []string, kind string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !strings.HasPrefix(id, kind) })
}

// missing lists the ids that were never handled.
func missing(ids []string, counts map[string]int) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return counts[id] > 0 })
}

// audience is who must handle which messages: every application each event, anyone each command.
type audience struct {
	name, kind string
	processes  []*process
}

func (f fleet) audiences() []audience {
	return []audience{
		{"billing's events", "event", f.billing[:]},
		{"shipping's events", "event", f.shipping[:]},
		{"commands", "command", f.all()},
	}
}

// awaitHandled waits until everything that was stored has been handled by everyone who must.
func (f fleet) awaitHandled(t *testing.T, stored []string) {
	t.Helper()
	for _, a := range f.audiences() {
		ids := ofKind(stored, a.kind)
		var open []string
		eventually(t, a.name+" are handled", func() bool {
			open = missing(ids, handled(t, a.kind, a.processes...))
			return len(open) == 0
		})
	}
}

func TestTwoApplicationsWithTwoProcessesEachLoseNothing(t *testing.T) {
	t.Parallel()
	const calm, rough = 300, 1500
	r := newRealm(t)
	f := launchFleet(t, r)
	publisher := func(name string, count int) *process {
		return launch(t, name, assignment{Role: "publisher", Namespace: r.name, App: "shop", Name: name, Count: count})
	}

	began := time.Now()
	calmOnes := []*process{publisher("calm1", calm), publisher("calm2", calm)}
	var calmIDs []string
	for _, p := range calmOnes {
		p.finish(t)
		calmIDs = append(calmIDs, p.entries(t, entryStored)...)
	}
	if len(calmIDs) != 2*2*calm {
		t.Fatalf("the calm publishers stored %d messages, want %d", len(calmIDs), 2*2*calm)
	}
	f.awaitHandled(t, calmIDs)
	t.Logf("calm: %d messages stored and handled in %s", len(calmIDs), time.Since(began).Round(time.Millisecond))

	began = time.Now()
	victim, survivor := publisher("victim", rough), publisher("survivor", rough)
	eventually(t, "the publishers are in the middle of their work", func() bool {
		return len(victim.entries(t, entryStored)) > rough/4
	})
	victim.kill(t)
	eventually(t, "the consumer has begun to handle what is under way", func() bool {
		return len(f.billing[0].entries(t, entryBegan)) > len(f.billing[0].entries(t, entryHandled))
	})
	f.billing[0].kill(t)
	survivor.finish(t)
	stored := append(victim.entries(t, entryStored), survivor.entries(t, entryStored)...)
	f.awaitHandled(t, stored)
	for _, p := range []*process{f.billing[1], f.shipping[0], f.shipping[1]} {
		p.signal(t, syscall.SIGTERM)
		p.finish(t)
	}
	if failed := survivor.entries(t, entryFailed); len(failed) > 0 {
		t.Errorf("sends failed though the broker was well: %v", failed)
	}

	started := make(map[string]bool)
	for _, p := range append(calmOnes, victim, survivor) {
		for _, id := range p.entries(t, entryStarted) {
			started[id] = true
		}
	}
	isCalm := func(id string) bool { return strings.Contains(id, "-calm") }
	for _, a := range f.audiences() {
		counts := handled(t, a.kind, a.processes...)
		lost := missing(ofKind(append(calmIDs, stored...), a.kind), counts)
		if len(lost) > 0 {
			t.Errorf("%s: %d were stored and never handled: %v", a.name, len(lost), lost)
		}
		duplicates := 0
		for id, n := range counts {
			duplicates += n - 1
			if !started[id] {
				t.Errorf("%s: a phantom: %s was never sent", a.name, id)
			}
			if isCalm(id) && n != 1 {
				t.Errorf("%s: %s was handled %d times while nothing was wrong", a.name, id, n)
			}
		}
		t.Logf("%s: %d handled, %d duplicates, %d lost", a.name, len(counts), duplicates, len(lost))
	}
	t.Logf("rough: %d stored (%d by the killed publisher) in %s", len(stored), len(victim.entries(t, entryStored)), time.Since(began).Round(time.Millisecond))
}
