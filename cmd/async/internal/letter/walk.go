package letter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asyncpb/async/cmd/async/internal/place"
	"github.com/asyncpb/async/runtime/transport"
)

const (
	// pageSize is how many dead letters are taken off a queue at a time.
	pageSize = 200
	// settleTimeout bounds how long a walk waits until the broker has been told what became of a letter.
	settleTimeout = 10 * time.Second
)

// errLost: the broker takes the letters back by itself.
var errLost = errors.New("the connection to the broker was lost before it heard of it")

// ErrStays is what a [VisitFunc] returns for a letter that cannot be dealt with now, while others can: it stays, it is not
// counted, and the walk goes on.
var ErrStays = errors.New("it stays a dead letter")

// VisitFunc is called for one dead letter. It returns true when the letter is to leave its queue. Any error but [ErrStays] ends
// the walk, and the letter stays.
type VisitFunc func(ctx context.Context, l *Letter) (leaves bool, err error)

// Walk visits the dead letters of a place that pattern picks, the oldest first, at most limit of them; limit 0 is no limit.
// Only those that lie there at the start are visited, so that a letter that dies again during a replay is not seen twice.
// What does not leave goes back to the queue at the end of the walk; until then nobody else can see it.
//
// When ctx ends, Walk finishes the letter in hand, gives the others back and returns the cause.
// visited is how many letters were visited.
func Walk(ctx context.Context, p place.Place, pattern Pattern, limit int, visit VisitFunc) (visited int, err error) {
	browser, err := place.BrowserOf(p.Transport)
	if err != nil {
		return 0, err
	}
	infos, err := browser.Queues(ctx, p.Dead)
	if err != nil {
		return 0, fmt.Errorf("look up %s: %w", p.Name(), err)
	}
	w := walk{place: p, pattern: pattern, limit: limit, visit: visit}
	for _, info := range infos {
		err = w.run(ctx, browser, info.Ready)
	}
	return w.visited, errors.Join(err, w.giveBack())
}

type walk struct {
	place   place.Place
	pattern Pattern
	limit   int
	visit   VisitFunc
	visited int
	kept    []transport.Delivery
}

func (w *walk) full() bool { return w.limit > 0 && w.visited >= w.limit }

func (w *walk) run(ctx context.Context, browser transport.Browser, left int) error {
	for left > 0 && !w.full() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		page, err := browser.Take(ctx, w.place.Dead, min(left, pageSize))
		if err != nil {
			return fmt.Errorf("take dead letters of %s: %w", w.place.Name(), err)
		}
		if len(page) == 0 {
			return nil
		}
		left -= len(page)
		for i, d := range page {
			if err := w.one(ctx, d); err != nil {
				w.kept = append(w.kept, page[i+1:]...)
				return err
			}
		}
	}
	return nil
}

// one visits a letter and settles it if it leaves.
func (w *walk) one(ctx context.Context, d transport.Delivery) error {
	l := read(w.place, d.Message())
	if w.full() || ctx.Err() != nil || !w.pattern.Picks(l) {
		w.kept = append(w.kept, d)
		return context.Cause(ctx)
	}
	leaves, err := w.visit(ctx, l)
	if errors.Is(err, ErrStays) {
		w.kept = append(w.kept, d)
		return nil
	}
	if err != nil || !leaves {
		w.kept = append(w.kept, d)
		if err == nil {
			w.visited++
		}
		return err
	}
	settled := make(chan error, 1)
	d.Settle(transport.Ack, func(err error) { settled <- err })
	if err := await(settled); err != nil {
		return fmt.Errorf("the dead letter %s was dealt with and may be in its queue again: %w", l.ID, err)
	}
	w.visited++
	return nil
}

// giveBack returns what stays to its queue. Letters whose connection is lost are there already.
func (w *walk) giveBack() error {
	settled := make(chan error, len(w.kept))
	for _, d := range w.kept {
		d.Settle(transport.Requeue, func(err error) { settled <- err })
	}
	for range w.kept {
		if err := await(settled); err != nil && !errors.Is(err, transport.ErrDeliveryLost) {
			return fmt.Errorf("give dead letters back to their queue: %w", err)
		}
	}
	return nil
}

func await(settled <-chan error) error {
	timer := time.NewTimer(settleTimeout)
	defer timer.Stop()
	select {
	case err := <-settled:
		return err
	case <-timer.C:
		return errLost
	}
}
