package transporttest

import (
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

var ordering = []test{
	{"messages of one key arrive in the order sent", func(t *testing.T, s *stage) {
		sub := s.ordered(t)
		if sub == nil {
			return
		}
		in := consume(t, s.receiver, *sub)
		ids := s.sendMany(t, 100, transport.Publication{Key: "k"})
		inOrder(t, "delivered", ids, in.drain(t, len(ids)))
	}},
	{"one consumer is active and the next follows it", func(t *testing.T, s *stage) {
		sub := s.ordered(t)
		if sub == nil {
			return
		}
		first := consume(t, s.receiver, *sub)
		second := consume(t, s.another(t), *sub)
		ids := s.sendMany(t, 20, transport.Publication{Key: "k"})
		inOrder(t, "the first half", ids[:10], first.drain(t, 10))
		// The eleventh is out when the first consumer goes, and comes back to its place.
		held := first.next(t)
		second.quiet(t)
		first.close(t)
		if held.Message().UUID != ids[10] {
			t.Errorf("the first consumer held %q, want %q", held.Message().UUID, ids[10])
		}
		inOrder(t, "the second half", ids[10:], second.drain(t, 10))
	}},
	{"a stopped consumer keeps its turn until it has settled", func(t *testing.T, s *stage) {
		sub := s.ordered(t)
		if sub == nil {
			return
		}
		first := consume(t, s.receiver, *sub)
		ids := s.sendMany(t, 5, transport.Publication{Key: "k"})
		held := first.next(t)
		second := consume(t, s.another(t), *sub)
		first.stop(t)
		settle(t, held, transport.Ack)
		first.close(t)
		inOrder(t, "the rest", ids[1:], second.drain(t, 4))
	}},
	{"a requeued message comes back to its place", func(t *testing.T, s *stage) {
		sub := s.ordered(t)
		if sub == nil {
			return
		}
		in := consume(t, s.receiver, *sub)
		ids := s.sendMany(t, 5, transport.Publication{Key: "k"})
		in.drain(t, 1)
		settle(t, in.next(t), transport.Requeue)
		inOrder(t, "the rest", ids[1:], in.drain(t, 4))
	}},
}

// ordered describes an ordered subscription, or proves that there is none and returns nil.
func (s *stage) ordered(t *testing.T) *transport.Subscription {
	t.Helper()
	sub := s.event("ordered", 1)
	sub.Ordered = true
	if s.can.Order == transport.None {
		unsupported(t, "Subscription.Ordered", tryConsume(t, s.receiver, sub))
		return nil
	}
	return &sub
}
