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
		var s schedule
		var waiting []*item
		times := map[*item]time.Duration{}
		for range random.IntN(300) {
			it := &item{}
			times[it] = time.Duration(random.IntN(50))
			s.add(it, times[it])
			waiting = append(waiting, it)
			if random.IntN(4) == 0 {
				gone := random.IntN(len(waiting))
				s.remove(waiting[gone])
				s.remove(waiting[gone]) // taking it out again changes nothing
				waiting = slices.Delete(waiting, gone, gone+1)
			}
		}
		last := time.Duration(-1)
		for left := len(waiting); left > 0; left-- {
			it := s.pop()
			if !slices.Contains(waiting, it) {
				t.Fatal("an item came that was taken out, or came before")
			}
			waiting = slices.DeleteFunc(waiting, func(other *item) bool { return other == it })
			if times[it] < last {
				t.Fatalf("an item of %d came after one of %d", times[it], last)
			}
			last = times[it]
		}
		if len(s) != 0 {
			t.Fatalf("%d items are left", len(s))
		}
	}
}
