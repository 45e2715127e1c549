package acceptance_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// moves remembers, for each order, the steps in the order of their first successful handling, and who is at work.
type moves struct {
	mu    sync.Mutex
	seen  map[int64]map[int32]bool
	last  map[int64]int32
	busy  map[int64]bool
	total int
}

// begin marks an order as being handled; it reports false when it is already.
func (m *moves) begin(order int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[order] {
		return false
	}
	m.busy[order] = true
	return true
}

// end takes the mark away and counts a step that was handled. It returns the step that the order was at.
func (m *moves) end(e *ordersv1.OrderMoved, handled bool) (last int32, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy[e.GetOrder()] = false
	last = m.last[e.GetOrder()]
	if !handled || m.seen[e.GetOrder()][e.GetStep()] {
		return last, false
	}
	if m.seen[e.GetOrder()] == nil {
		m.seen[e.GetOrder()] = make(map[int32]bool)
	}
	m.seen[e.GetOrder()][e.GetStep()] = true
	m.last[e.GetOrder()] = e.GetStep()
	m.total++
	return last, true
}

func (m *moves) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

func TestMovesOfAnOrderAreHandledInTheOrderSentThroughRetriesAndAHandover(t *testing.T) {
	t.Parallel()
	const orders, steps = 12, 40
	r := newRealm(t)
	m := &moves{seen: make(map[int64]map[int32]bool), last: make(map[int64]int32), busy: make(map[int64]bool)}
	handover := make(chan struct{}) // half of the moves are handled before it is closed
	consume := func() (rt *async.Runtime, finish func()) {
		rt = r.open(t, async.WithApp("billing"))
		err := ordersv1async.NewOrderEventsSubscriber(rt).OnMoved(func(ctx context.Context, e *ordersv1.OrderMoved) error {
			if !m.begin(e.GetOrder()) {
				t.Errorf("two moves of order %d are handled at once", e.GetOrder())
				return nil
			}
			if m.count() >= orders*steps/2 {
				select {
				case <-handover:
				case <-ctx.Done():
					m.end(e, false)
					return ctx.Err()
				}
			}
			info, _ := async.InfoFrom(ctx)
			if e.GetStep()%10 == 3 && info.Attempt == 1 {
				m.end(e, false)
				return errors.New("not yet")
			}
			if last, first := m.end(e, true); first && e.GetStep() != last+1 {
				t.Errorf("order %d: step %d was first handled after step %d", e.GetOrder(), e.GetStep(), last)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := start(t, rt)
		return rt, func() {
			stop()
			if err := rt.Close(); err != nil {
				t.Errorf("close the runtime: %v", err)
			}
		}
	}
	first, stopFirst := consume()
	consume()
	publisher := ordersv1async.NewOrderEventsPublisher(r.open(t))
	var receipts []*async.Receipt
	for step := range int32(steps) {
		for order := range int64(orders) {
			receipts = append(receipts, publisher.MovedAsync(bounded(t), &ordersv1.OrderMoved{Order: order, Step: step + 1}))
		}
	}
	for _, receipt := range receipts {
		if err := receipt.Wait(bounded(t)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "half of the moves are handled", func() bool { return m.count() >= orders*steps/2 })
	var stopping sync.WaitGroup
	stopping.Go(stopFirst)
	eventually(t, "the first process drains", func() bool { return !first.Health(t.Context()).Bindings[0].Consuming })
	close(handover)
	stopping.Wait()
	if m.count() == orders*steps {
		t.Fatal("everything was handled before the handover: nothing was tested")
	}
	eventually(t, "every move is handled", func() bool { return m.count() == orders*steps })
}
