package trial

import "github.com/asyncpb/async/test/faults/internal/journal"

// interrupted is that the consumer has counted the losses of what it fetches from.
func interrupted(s *session, _ *Result) error { return s.counted(journal.Interrupted, "interruptions") }

// counted judges one of the consumer's own counts, which is what an operator sees of a fault that harms nothing.
func (s *session) counted(kind journal.Kind, what string) error {
	got, err := s.got()
	if err != nil {
		return err
	}
	n := 0
	for i := range got {
		if got[i].Kind == kind {
			n += got[i].Attempt
		}
	}
	s.note(what, float64(n))
	// A queue that is full in memory does not refuse: it holds who sends, for longer than a short trial takes.
	if waits := s.queue == inMemory && !s.Full; n == 0 && !waits {
		s.fail("the consumer counted no %s", what)
	}
	return nil
}
