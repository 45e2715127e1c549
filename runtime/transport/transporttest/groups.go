package transporttest

import (
	"errors"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

var groups = []test{
	{"every group gets every message", func(t *testing.T, s *stage) {
		a, b := consume(t, s.receiver, s.event("a", 8)), consume(t, s.receiver, s.event("b", 8))
		ids := s.sendMany(t, 20, transport.Publication{})
		same(t, "group a", ids, a.drain(t, len(ids)))
		same(t, "group b", ids, b.drain(t, len(ids)))
		a.quiet(t)
		b.quiet(t)
	}},
	{"consumers of a group share its messages", func(t *testing.T, s *stage) {
		if s.can.Groups == transport.None {
			return
		}
		one, two := consume(t, s.receiver, s.event("g", 2)), consume(t, s.another(t), s.event("g", 2))
		ids := s.sendMany(t, 40, transport.Publication{})
		var got []string
		byOne := 0
		for range ids {
			var d transport.Delivery
			select {
			case d = <-one.deliveries:
				byOne++
			case d = <-two.deliveries:
			case <-time.After(patience):
				t.Fatalf("%d of %d messages arrived", len(got), len(ids))
			}
			settle(t, d, transport.Ack)
			got = append(got, d.Message().UUID)
		}
		same(t, "delivered", ids, got)
		if byOne == 0 || byOne == len(ids) {
			t.Errorf("one consumer of two got %d of %d messages", byOne, len(ids))
		}
	}},
	{"a group collects messages without a consumer", func(t *testing.T, s *stage) {
		if s.can.StandingGroups == transport.None {
			return
		}
		sub := s.event("g", 8)
		s.declare(t, sub)
		s.declare(t, sub)
		ids := s.sendMany(t, 5, transport.Publication{})
		in := consume(t, s.receiver, sub)
		same(t, "sent before the first consumer", ids, in.drain(t, len(ids)))
		in.close(t)
		ids = s.sendMany(t, 5, transport.Publication{})
		again := consume(t, s.another(t), sub)
		same(t, "sent between two consumers", ids, again.drain(t, len(ids)))
		again.quiet(t)
	}},
	{"a message for one group reaches only that group", func(t *testing.T, s *stage) {
		p := transport.Publication{Topic: s.topic, Group: "a"}
		if s.can.Target == transport.None {
			unsupported(t, "Publication.Group", outcome(t, s.start(t, p, s.message())))
			return
		}
		a, b := consume(t, s.receiver, s.event("a", 1)), consume(t, s.receiver, s.event("b", 1))
		id := s.send(t, p).UUID
		same(t, "group a", []string{id}, a.drain(t, 1))
		a.quiet(t)
		b.quiet(t)
	}},
	{"a group gets the messages of the old topics", func(t *testing.T, s *stage) {
		sub := s.event("g", 4)
		sub.Aliases = []string{s.topic + ".old", s.topic + ".older"}
		in := consume(t, s.receiver, sub)
		ids := []string{
			s.send(t, transport.Publication{}).UUID,
			s.send(t, transport.Publication{Topic: sub.Aliases[0]}).UUID,
			s.send(t, transport.Publication{Topic: sub.Aliases[1]}).UUID,
		}
		same(t, "delivered", ids, in.drain(t, 3))
		in.quiet(t)
	}},
	{"a group drains the queue of its old name", func(t *testing.T, s *stage) {
		if s.can.StandingGroups == transport.None {
			return
		}
		s.declare(t, s.event("before", 4))
		old := s.send(t, transport.Publication{}).UUID
		sub := s.event("after", 4)
		sub.GroupAliases = []string{"before", "never"}
		if err := tryConsume(t, s.receiver, sub); errors.Is(err, transport.ErrUnsupported) {
			return
		}
		in := consume(t, s.receiver, sub)
		same(t, "from the old queue", []string{old}, in.drain(t, 1))
		now := s.send(t, transport.Publication{}).UUID
		same(t, "from the new queue", []string{now}, in.drain(t, 1))
		in.quiet(t)
	}},
	{"a broadcast reaches every process", func(t *testing.T, s *stage) {
		one, two := s.event("p1", 4), s.event("p2", 4)
		one.Broadcast, two.Broadcast = true, true
		if s.can.Broadcast == transport.None {
			unsupported(t, "Subscription.Broadcast", tryConsume(t, s.receiver, one))
			return
		}
		a, b := consume(t, s.receiver, one), consume(t, s.another(t), two)
		ids := s.sendMany(t, 3, transport.Publication{})
		same(t, "first process", ids, a.drain(t, 3))
		same(t, "second process", ids, b.drain(t, 3))
	}},
}
