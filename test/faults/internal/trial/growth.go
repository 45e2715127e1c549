package trial

import (
	"context"
	"runtime"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// goroutinesBar is how many goroutines a process may have beyond those that it began a fault with.
const goroutinesBar = 32

// side is what one process had in use when it was first looked at.
type side struct {
	name, journal string
	party         party
	memory        int64
	goroutines    int64
}

// growth is what the processes of a trial had in use before a fault.
type growth struct {
	*session
	sides []side
}

// growth looks at the processes that run.
func (s *session) growth() *growth {
	g := &growth{session: s}
	for _, one := range []side{
		{name: "producer", journal: s.journal("producer"), party: s.producer},
		{name: "consumer", journal: s.lastConsumer(), party: s.consumer},
	} {
		if !one.party.running() {
			continue
		}
		one.memory = one.party.memory()
		g.sides = append(g.sides, one)
	}
	return g
}

// watch lets time go by and judges how much each process grows meanwhile: by so many MiB at most, and hardly any goroutines.
func (g *growth) watch(ctx context.Context, length time.Duration, most float64) error {
	for end := time.Now().Add(length); time.Now().Before(end); {
		if err := load.Pass(ctx, time.Second); err != nil {
			return err
		}
		for i := range g.sides {
			if err := g.look(&g.sides[i]); err != nil {
				return err
			}
		}
	}
	for _, one := range g.sides {
		if grown := g.figures[one.name+" growth MiB"]; grown > most {
			g.fail("the %s grew by %.0f MiB, and %.0f are allowed", one.name, grown, most)
		}
		if more := g.figures[one.name+" more goroutines"]; more > goroutinesBar {
			g.fail("the %s had %.0f goroutines more than before, and %d are allowed", one.name, more, goroutinesBar)
		}
	}
	return nil
}

func (g *growth) look(one *side) error {
	g.note(one.name+" growth MiB", float64(one.party.memory()-one.memory)/(1<<20))
	count := int64(runtime.NumGoroutine()) // a resident is in this process
	if g.queue != inMemory {
		gauges, err := load.ReadGauges(one.journal + gaugeSuffix)
		if err != nil || len(gauges) == 0 {
			return err
		}
		count = gauges[len(gauges)-1].Goroutines
	}
	if one.goroutines == 0 {
		one.goroutines = count
	}
	g.note(one.name+" more goroutines", float64(count-one.goroutines))
	return nil
}

// bounded is that a queue in memory holds who sends when it is full: what waits is never more than it takes and what both sides hold.
func (s *session) bounded() error {
	if s.queue != inMemory {
		return nil
	}
	sent, err := s.sent()
	if err != nil {
		return err
	}
	got, err := s.got()
	if err != nil {
		return err
	}
	waits := messages(sent, journal.Accepted) - messages(got, journal.Handled)
	s.note("most that waited", float64(waits))
	// A consumer fetches sixteen times as many as it works on.
	if most := capacity + s.fault.Load.Writers + 16*workers; waits > most {
		s.fail("%d messages wait, and %d are what the queue and both sides take", waits, most)
	}
	return nil
}
