package memorytransport

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestAScheduleGivesItsItemsInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		s := schedule{epoch: time.Now().Add(-time.Hour), act: func() {}}
		mine, other := &queue{}, &queue{}
		var waiting []*item
		times := map[*item]time.Duration{}
		for range random.IntN(600) {
			it := &item{queue: mine}
			if random.IntN(5) == 0 {
				it.queue = other
			}
			times[it] = time.Duration(random.IntN(50)) * time.Second
			s.plan(it, s.epoch.Add(times[it]))
			waiting = append(waiting, it)
			if random.IntN(3) > 0 {
				gone := random.IntN(len(waiting))
				s.cancel(waiting[gone])
				s.cancel(waiting[gone]) // taking it out again changes nothing
				if random.IntN(4) == 0 {
					again := waiting[gone]
					times[again] = time.Duration(random.IntN(50)) * time.Second
					s.plan(again, s.epoch.Add(times[again]))
					continue
				}
				waiting = slices.Delete(waiting, gone, gone+1)
			}
		}
		if random.IntN(2) == 0 {
			s.forget(other)
			waiting = slices.DeleteFunc(waiting, func(it *item) bool { return it.queue == other })
		}
		last := time.Duration(-1)
		var space [stint]*item
		for items := s.due(space[:0]); len(items) > 0; items = s.due(space[:0]) {
			for _, it := range items {
				i := slices.Index(waiting, it)
				if i < 0 {
					t.Fatal("an item came that was taken out, or came before")
				}
				waiting = slices.Delete(waiting, i, i+1)
				if times[it] < last {
					t.Fatalf("an item of %s came after one of %s", times[it], last)
				}
				last = times[it]
			}
		}
		if len(waiting) > 0 {
			t.Fatalf("%d items did not come", len(waiting))
		}
		if len(s.events) > 0 {
			t.Fatalf("%d entries are left", len(s.events))
		}
	}
}

// A schedule from which everything is taken out again, as it is with requests that are answered, does not grow.
func TestAScheduleDoesNotKeepWhatWasTakenOut(t *testing.T) {
	t.Parallel()
	s := schedule{epoch: time.Now(), act: func() {}}
	for range 10_000 {
		it := &item{}
		s.plan(it, s.epoch.Add(time.Hour))
		s.cancel(it)
	}
	if len(s.events) > 2*fewDead {
		t.Errorf("%d entries for no item", len(s.events))
	}
	s.timer.Stop()
}
