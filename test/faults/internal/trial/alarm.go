package trial

import (
	"context"
	"errors"
	"time"

	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// backlog is how long messages gather without a consumer before an alarm, so that there is something to consume under it.
const backlog = 2 * time.Second

// alarms has the broker take nothing for a while, twice.
func alarms(ctx context.Context, s *session) (int, error) {
	kinds := []struct{ set, heal []string }{
		{[]string{"set_vm_memory_high_watermark", "0.00001"}, []string{"set_vm_memory_high_watermark", "absolute", "1GB"}},
		{[]string{"set_disk_free_limit", "900000GB"}, []string{"set_disk_free_limit", "50MB"}},
	}
	for i, k := range kinds {
		if err := errors.Join(s.consumer.finish(), load.Pass(ctx, backlog)); err != nil {
			return i, err
		}
		began := time.Now()
		if _, err := s.node.Control(ctx, k.set...); err != nil {
			return i, err
		}
		_, err := s.since(ctx, began, journal.Blocked)
		err = errors.Join(err, s.endure(ctx))
		_, healErr := s.node.Control(ctx, k.heal...)
		if err := errors.Join(err, healErr); err != nil {
			return i, err
		}
		s.heal()
		if err := errors.Join(s.startConsumer(), s.startProducer(), s.flow(ctx, s.healed, 0)); err != nil {
			return i, err
		}
	}
	return len(kinds), nil
}

// endure holds what must go on while the broker takes nothing: a consumer starts and handles what was there, and both sides end
// when they are asked to.
func (s *session) endure(ctx context.Context) error {
	began := time.Now()
	if err := s.startConsumer(); err != nil {
		return err
	}
	handled, err := s.since(ctx, began, journal.Handled)
	s.note("handled under an alarm after s", handled.Seconds())
	if err := errors.Join(err, load.Pass(ctx, s.length(3*time.Second, time.Minute))); err != nil {
		return err
	}
	// Each ends at once, or waits for its drain timeout at most.
	for _, who := range []struct {
		name string
		end  func() error
	}{{"producer", s.producer.finish}, {"consumer", s.endConsumer}} {
		asked := time.Now()
		if err := who.end(); err != nil {
			return err
		}
		took := time.Since(asked)
		s.note("slowest end of the "+who.name+" s", took.Seconds())
		if most := s.fault.Load.drain() + time.Second; took > most {
			s.fail("the %s took %s to end under an alarm, and %s are allowed", who.name, took, most)
		}
	}
	return nil
}

// punctual is that no send outlived its context. The producer writes down which did by more than 100 ms.
func punctual(s *session, _ *Result) error {
	if over := s.figures["latest send ms over its time"]; over > 0 {
		s.fail("a send came back %.0f ms after its context had ended, and 100 are allowed", over)
	}
	return nil
}
