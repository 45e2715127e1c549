package place

import (
	"context"
	"errors"
	"fmt"

	"github.com/asyncpb/async/runtime/transport"
)

// State is what the broker says about a place.
type State struct {
	Place
	// GroupQueue and DeadQueue describe the queues; nil for one that does not exist.
	GroupQueue, DeadQueue *transport.QueueInfo
}

// BrowserOf returns the transport's ability to look into queues. The error says that it has none.
func BrowserOf(t transport.Transport) (transport.Browser, error) {
	if b, ok := t.(transport.Browser); ok {
		return b, nil
	}
	return nil, fmt.Errorf("%s has no queues that could be looked into; choose a broker with --url", t.Capabilities().System)
}

// Look asks the broker about places, in their order. A place with a queue that cannot be looked into holds back no other:
// it is left out, and the error, which wraps [transport.ErrNotCounted], comes beside the others.
func Look(ctx context.Context, places []Place) ([]State, error) {
	states := make([]State, 0, len(places))
	var unseen error
	for _, p := range places {
		browser, err := BrowserOf(p.Transport)
		if err != nil {
			return nil, err
		}
		names := []string{p.Dead}
		if p.Queue() != "" {
			names = append(names, p.Queue())
		}
		queues, err := browser.Queues(ctx, names...)
		if err != nil {
			err = fmt.Errorf("look up %s: %w", p.Name(), err)
		}
		if errors.Is(err, transport.ErrNotCounted) {
			unseen = errors.Join(unseen, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		s := State{Place: p}
		for _, q := range queues {
			if q.Name == p.Dead {
				s.DeadQueue = &q
			} else {
				s.GroupQueue = &q
			}
		}
		states = append(states, s)
	}
	return states, unseen
}
