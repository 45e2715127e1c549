package trial

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/load"
	"github.com/asyncpb/async/test/faults/internal/proxy"
)

// between is how much time a soak leaves from one fault to the next.
const between = 30 * time.Second

// The first part of a soak, for which growth is not judged: a sixth of it, and ten minutes at most.
const (
	warmUpShare = 6
	warmUpMost  = 10 * time.Minute
)

// leakBar is how much of anything may be added from the end of the warm-up to the end, as a share.
const leakBar = 0.05

// Soak is a fault of the network or the broker at random every 30 s, for a time, under rate messages a second. Producer and
// consumer live through all of it, so that what they leak shows. The same seed gives the same faults.
func Soak(length time.Duration, rate int, seed uint64) Fault {
	var began time.Time
	return Fault{
		Number: "soak", Title: "a fault at random every 30 s", Apart: noNode,
		Load: Load{Stream: load.Ordered, Rate: rate, Writers: 32, Handling: time.Millisecond},
		inject: func(ctx context.Context, s *session) (int, error) {
			random := rand.New(rand.NewPCG(seed, seed))
			injected := 0
			began = time.Now()
			for end := time.Now().Add(length); time.Now().Before(end); injected++ {
				if err := s.mischief(ctx, random); err != nil {
					return injected, err
				}
				s.heal()
				if err := s.flow(ctx, s.healed, 0); err != nil {
					return injected, err
				}
				if err := load.Pass(ctx, min(between, time.Until(end))); err != nil {
					return injected, err
				}
			}
			return injected, nil
		},
		judge: func(s *session, r *Result) error {
			r.Length = length.String()
			from := began.Add(min(length/warmUpShare, warmUpMost))
			return errors.Join(s.leaks("producer", "producer", from), s.leaks("consumer", "consumer-0", from))
		},
	}
}

// leaks judges what one of the processes had in use from a time on.
func (s *session) leaks(who, journal string, from time.Time) error {
	gauges, err := load.ReadGauges(s.journal(journal) + gaugeSuffix)
	if err != nil {
		return err
	}
	var at, goroutines, heap, descriptors []int64
	for _, g := range gauges {
		if g.At < from.UnixNano() {
			continue
		}
		at = append(at, g.At)
		goroutines, heap, descriptors = append(goroutines, g.Goroutines), append(heap, g.Heap), append(descriptors, g.Descriptors)
	}
	if len(at) < 2 {
		s.fail("the %s was measured %d times after the warm-up; let the soak last longer", who, len(at))
		return nil
	}
	for _, k := range []struct {
		what   string
		values []int64
	}{{"goroutines", goroutines}, {"heap", heap}, {"descriptors", descriptors}} {
		grown := check.Growth(at, k.values)
		s.figures[who+" "+k.what+" at the end"] = float64(k.values[len(k.values)-1])
		s.figures[who+" "+k.what+" growth %"] = 100 * grown
		if grown > leakBar {
			s.fail("the %s of the %s grew by %.1f %% after the warm-up, and %.0f %% is allowed", k.what, who, 100*grown, 100*leakBar)
		}
	}
	return nil
}

// mischief is one fault.
func (s *session) mischief(ctx context.Context, random *rand.Rand) error {
	restart := func(end func() error) func() error {
		return func() error {
			if err := end(); err != nil {
				return err
			}
			return s.node.Start(ctx)
		}
	}
	weather := func(w proxy.Weather) func() error {
		return func() error {
			s.sending.Set(w)
			s.taking.Set(w)
			return load.Pass(ctx, 5*time.Second)
		}
	}
	deeds := []func() error{
		func() error { s.sending.Cut(); return nil },
		func() error { s.taking.Cut(); return nil },
		weather(proxy.Weather{HoldRequests: true, HoldReplies: true}),
		weather(proxy.Weather{HoldReplies: true}),
		weather(proxy.Weather{Latency: 100 * time.Millisecond, Jitter: 50 * time.Millisecond}),
		restart(s.node.Kill),
		restart(s.node.Stop),
	}
	return deeds[random.IntN(len(deeds))]()
}
