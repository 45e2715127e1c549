package transporttest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/transport"
)

var capability = []test{
	{"capabilities have a name and do not change", func(t *testing.T, s *stage) {
		if s.can.System == "" {
			t.Error("Capabilities.System is empty; name the messaging system as telemetry shall show it")
		}
		if diff := cmp.Diff(s.can, s.receiver.Capabilities()); diff != "" {
			t.Errorf("capabilities changed (-first +second):\n%s", diff)
		}
	}},
	{"what can be asked for is claimed or refused", func(t *testing.T, s *stage) {
		for _, ask := range []struct {
			what    string
			ability transport.Ability
			ask     func() error
		}{
			{"Publication.Delay", s.can.Delay, func() error {
				return outcome(t, s.start(t, transport.Publication{Delay: time.Millisecond}, s.message()))
			}},
			{"Publication.Group", s.can.Target, func() error {
				return outcome(t, s.start(t, transport.Publication{Group: "g"}, s.message()))
			}},
			{"Publication.Direct", max(s.can.Reply, s.can.DeadLetter), func() error {
				return outcome(t, s.start(t, transport.Publication{Topic: s.topic + ".inbox", Direct: true}, s.message()))
			}},
			{"Subscription.Ordered", s.can.Order, func() error {
				sub := s.event("ordered", 1)
				sub.Ordered = true
				return tryConsume(t, s.receiver, sub)
			}},
			{"Subscription.Broadcast", s.can.Broadcast, func() error {
				sub := s.event("private", 1)
				sub.Broadcast = true
				return tryConsume(t, s.receiver, sub)
			}},
			{"Subscription.DeadTopic", s.can.DeadLetter, func() error {
				sub := s.event("g", 1)
				sub.DeadTopic = transport.DeadName(s.topic, "g")
				return tryConsume(t, s.receiver, sub)
			}},
			{"KindReply", s.can.Reply, func() error {
				return tryConsume(t, s.receiver, transport.Subscription{Topic: s.topic + ".inbox", Kind: transport.KindReply})
			}},
		} {
			err := ask.ask()
			if ask.ability == transport.None {
				unsupported(t, ask.what, err)
			} else if err != nil {
				t.Errorf("%s is claimed as %v: %v", ask.what, ask.ability, err)
			}
		}
	}},
}
