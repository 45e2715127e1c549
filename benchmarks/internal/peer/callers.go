package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asyncpb/async/benchmarks/internal/load"
)

// Callers sends the messages of a source from n goroutines, each of which waits for its send. The first error ends all.
func Callers(ctx context.Context, n int, s *load.Source, send func(ctx context.Context, number int, intended int64) error) error {
	var (
		mu   sync.Mutex
		errs []error
		all  sync.WaitGroup
	)
	for range max(n, 1) {
		all.Go(func() {
			for number, intended, ok := s.Next(); ok; number, intended, ok = s.Next() {
				if err := send(ctx, number, intended); err != nil {
					s.Stop()
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Ask calls ask for each number of a source, from n goroutines, and marks those that come back with the time of their call.
func Ask(ctx context.Context, n int, s *load.Source, mark load.HandleFunc, ask func(ctx context.Context, number int) (answer int, err error)) error {
	return Callers(ctx, n, s, func(ctx context.Context, number int, _ int64) error {
		began := time.Now().UnixNano()
		answer, err := ask(ctx, number)
		if err != nil {
			return err
		}
		if answer != number {
			return fmt.Errorf("request %d got the reply of %d", number, answer)
		}
		mark(number, began)
		return nil
	})
}
