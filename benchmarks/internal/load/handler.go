package load

import "time"

// HandleFunc is what every side calls for a message, from as many goroutines at once as its load says.
type HandleFunc func(number int, intended int64)

// Handler returns what a run does with a message: the work of its load, then the tally.
func (l Load) Handler(t *Tally) HandleFunc {
	if l.Work == 0 {
		return t.Mark
	}
	return func(number int, intended int64) {
		time.Sleep(l.Work)
		t.Mark(number, intended)
	}
}
