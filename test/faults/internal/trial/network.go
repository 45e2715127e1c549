package trial

import (
	"context"
	"time"

	"github.com/asyncpb/async/test/faults/internal/load"
	"github.com/asyncpb/async/test/faults/internal/proxy"
)

// cuts resets the connections of a proxy again and again.
func (s *session) cuts(ctx context.Context, p *proxy.Proxy, every, length time.Duration) (int, error) {
	cuts := 0
	for end := time.Now().Add(length); time.Now().Before(end); {
		if p.Cut() > 0 {
			cuts++
		}
		if err := load.Pass(ctx, every); err != nil {
			return cuts, err
		}
	}
	s.heal()
	return cuts, nil
}

// network are the faults of the network.
func network() []Fault {
	return []Fault{
		{
			Number: "F1", Title: "the producer's connections are reset every 200 ms", Apart: noConnection,
			Load: Load{Stream: load.Commands, Rate: 1000, Writers: 4},
			inject: func(ctx context.Context, s *session) (int, error) {
				return s.cuts(ctx, s.sending, 200*time.Millisecond, s.length(10*time.Second, time.Minute))
			},
			judge: func(s *session, _ *Result) error {
				if over := s.figures["latest send ms over its time"]; over > 2000 {
					s.fail("a send came back %.0f ms after its context had ended, and 2000 are allowed", over)
				}
				return nil
			},
		},
		{
			Number: "F2", Title: "the consumer's connections are reset every 500 ms", Apart: noConnection,
			Load: Load{Stream: load.Ordered, Rate: 1000, Writers: 32, Handling: 5 * time.Millisecond},
			inject: func(ctx context.Context, s *session) (int, error) {
				return s.cuts(ctx, s.taking, 500*time.Millisecond, s.length(10*time.Second, time.Minute))
			},
			judge: func(s *session, r *Result) error {
				// The consumer works on 16 messages at a time.
				if most := 16 * r.Injected; r.Duplicate > most {
					s.fail("%d duplicates, and %d are allowed: what was in work at each cut", r.Duplicate, most)
				}
				return nil
			},
		},
		{
			Number: "F3", Title: "a black hole both ways, then for replies only", Apart: noConnection,
			Load:   Load{Stream: load.Commands, Rate: 500, Writers: 16},
			inject: blackHole, judge: punctual,
		},
		{
			Number: "F4", Title: "latency, a narrow line, single bytes, slow close", Apart: noConnection,
			Load:   Load{Stream: load.Commands, Rate: 200, Writers: 32},
			inject: badWeather,
		},
	}
}

func blackHole(ctx context.Context, s *session) (int, error) {
	holes := []proxy.Weather{{HoldRequests: true, HoldReplies: true}, {HoldReplies: true}}
	for _, w := range holes {
		s.sending.Set(w)
		s.taking.Set(w)
		if err := load.Pass(ctx, s.length(10*time.Second, 30*time.Second)); err != nil {
			return 0, err
		}
		s.heal()
		if err := s.flow(ctx, s.healed, 2*heartbeat); err != nil {
			return 0, err
		}
	}
	return len(holes), nil
}

func badWeather(ctx context.Context, s *session) (int, error) {
	kinds := []proxy.Weather{
		{Latency: 200 * time.Millisecond, Jitter: 100 * time.Millisecond},
		{Bandwidth: 64 << 10},
		{Slice: 1},
		{Linger: time.Second},
	}
	for i, w := range kinds {
		s.sending.Set(w)
		s.taking.Set(w)
		began := time.Now()
		if w.Linger > 0 {
			s.sending.Cut()
			s.taking.Cut()
		}
		if err := s.flow(ctx, began, 0); err != nil {
			return i, err
		}
		if err := s.keepUp(ctx, w, s.length(4*time.Second, 20*time.Second)); err != nil {
			return i, err
		}
	}
	s.heal()
	return len(kinds), s.flow(ctx, s.healed, 0)
}
