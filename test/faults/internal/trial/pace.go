package trial

import (
	"errors"
	"time"

	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

// paceBar is the share of the good messages that must be handled all the same while there is poison.
const paceBar = 0.9

// redeliveryBar is how often a second one message may be handed out again.
const redeliveryBar = 10

// pace judges how fast good messages were handled from the first poison to now. The time before that is the clean run of the
// same load. Where the producer itself became slower than that, what it sent is the measure.
func (s *session) pace() error {
	now := time.Now().UnixNano()
	sent, err1 := s.sent()
	got, err2 := s.got()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	var began, harmed int64
	for i := range sent {
		if began == 0 && sent[i].Kind == journal.Accepted {
			began = sent[i].At
		}
		if harmed == 0 && sent[i].Kind == journal.Sent && s.fault.Load.Poison.Has(sent[i].ID) {
			harmed = sent[i].At
		}
	}
	if harmed == 0 {
		s.fail("no poison was sent")
		return nil
	}
	clean := check.Rate(got, journal.Handled, began, harmed, s.good)
	poisoned := check.Rate(got, journal.Handled, harmed, now, s.good)
	asked := min(clean, check.Rate(sent, journal.Accepted, harmed, now, s.good))
	s.note("clean handled/s", clean)
	s.note("good handled/s", poisoned)
	if poisoned < paceBar*asked {
		s.fail("%.0f good messages a second were handled beside poison, and %.0f without it", poisoned, asked)
	}
	return nil
}

func (s *session) good(id string) bool { return !s.fault.Load.Poison.Has(id) }

// calm judges how often a second one message was handed out again.
func (s *session) calm(got []journal.Entry) {
	most := check.Redelivered(got, time.Second)
	s.note("most redeliveries/s of one", float64(most))
	if most > redeliveryBar {
		s.fail("one message was handed out again %d times in a second, and %d are allowed", most, redeliveryBar)
	}
}
