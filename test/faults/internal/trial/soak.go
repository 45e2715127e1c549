package trial

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/asyncpb/async/test/faults/internal/load"
	"github.com/asyncpb/async/test/faults/internal/proxy"
)

// between is how much time a soak leaves from one fault to the next.
const between = 30 * time.Second

// Soak is a fault at random every 30 s, for a time. The same seed gives the same faults.
func Soak(length time.Duration, seed uint64) Fault {
	return Fault{
		Number: "soak", Title: "a fault at random every 30 s",
		Load: Load{Stream: load.Ordered, Rate: 1000, Writers: 32, Handling: time.Millisecond},
		inject: func(ctx context.Context, s *session) (int, error) {
			random := rand.New(rand.NewPCG(seed, seed))
			injected := 0
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
	}
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
		func() error {
			if err := s.producer.kill(); err != nil {
				return err
			}
			return s.startProducer()
		},
		func() error {
			if err := s.consumer.kill(); err != nil {
				return err
			}
			return s.startConsumer()
		},
	}
	return deeds[random.IntN(len(deeds))]()
}
