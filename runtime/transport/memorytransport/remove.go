package memorytransport

import (
	"context"
	"fmt"

	"github.com/asyncpb/async/runtime/transport"
)

var _ transport.Remover = (*Transport)(nil)

// Remove deletes a queue. What its consumers and browsers still hold of it is gone when they settle it, whatever they say.
func (t *Transport) Remove(_ context.Context, name string, force bool) (messages int, err error) {
	b := t.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.closed {
		return 0, fmt.Errorf("remove queue %q: the transport is %w", name, transport.ErrClosed)
	}
	q := b.queues[name]
	if q == nil {
		return 0, fmt.Errorf("remove queue %q: it does not exist: %w", name, transport.ErrUnroutable)
	}
	messages = q.waiting + q.taken + q.delayed + q.retrying
	if !force && (messages > 0 || len(q.consumers) > 0) {
		return 0, fmt.Errorf("%w: queue %q has %d messages and %d consumers", transport.ErrInUse, name, messages, len(q.consumers))
	}
	b.remove(q)
	return messages, nil
}
