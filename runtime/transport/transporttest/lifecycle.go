package transporttest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

var lifecycle = []test{
	{"close is idempotent and ends everything", func(t *testing.T, s *stage) {
		in := consume(t, s.receiver, s.event("g", 4))
		s.send(t, transport.Publication{})
		d := in.next(t)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for range 2 {
			if err := s.receiver.Close(ctx); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		wantError(t, "settling after close", settled(t, d, transport.Ack), transport.ErrDeliveryLost)
		in.close(t)
		never := func(error) { t.Error("done was called for a send that was not taken") }
		wantError(t, "send", transport.SenderOf(s.receiver).Send(t.Context(), transport.Publication{Topic: s.topic}, s.message(), never), transport.ErrClosed)
		wantError(t, "consume", tryConsume(t, s.receiver, s.event("g", 1)), transport.ErrClosed)
		wantError(t, "publish", s.receiver.Publisher().Publish(s.topic, s.message()), transport.ErrClosed)
		if d, ok := s.receiver.(transport.Declarer); ok {
			wantError(t, "declare", d.Declare(t.Context(), s.event("g", 1)), transport.ErrClosed)
		}
		if r, ok := s.receiver.(transport.Reporter); ok {
			wantError(t, "report", r.Report(), transport.ErrClosed)
		}
	}},
	{"close resolves every send", func(t *testing.T, s *stage) {
		consume(t, s.receiver, s.event("g", 1))
		tr := s.sender
		sender := transport.SenderOf(tr)
		const n = 50
		var calls [n]atomic.Int64
		resolved := make(chan error, 2*n)
		taken := 0
		closed := make(chan error, 1)
		for i := range n {
			if i == n/2 {
				go func() { closed <- tr.Close(context.Background()) }()
			}
			err := sender.Send(t.Context(), transport.Publication{Topic: s.topic, Deadline: time.Now().Add(patience)}, s.message(), func(err error) {
				calls[i].Add(1)
				resolved <- err
			})
			if err == nil {
				taken++
			}
		}
		for range taken {
			if err := outcome(t, resolved); err != nil && !errors.Is(err, transport.ErrClosed) && !errors.Is(err, transport.ErrUnknown) {
				t.Errorf("a send that was open at the close resolved with %v, want nil, ErrClosed or ErrUnknown", err)
			}
		}
		if err := outcome(t, closed); err != nil {
			t.Errorf("close: %v", err)
		}
		for i := range calls {
			if c := calls[i].Load(); c > 1 {
				t.Errorf("done of send %d was called %d times", i, c)
			}
		}
	}},
	{"a send whose context has ended returns", func(t *testing.T, s *stage) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		resolved := make(chan error, 2)
		err := transport.SenderOf(s.sender).Send(ctx, transport.Publication{Topic: s.topic, Deadline: time.Now().Add(patience)},
			s.message(), func(err error) { resolved <- err })
		if err == nil {
			err = outcome(t, resolved)
		}
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, transport.ErrBlocked) && !errors.Is(err, transport.ErrUnknown) {
			t.Errorf("got %v, want nil, Canceled, ErrBlocked or ErrUnknown", err)
		}
	}},
	{"a consumption ends for itself alone", func(t *testing.T, s *stage) {
		a, b := consume(t, s.receiver, s.event("a", 2)), consume(t, s.receiver, s.event("b", 2))
		a.close(t)
		a.close(t)
		a.stop(t)
		id := s.send(t, transport.Publication{}).UUID
		same(t, "the other group", []string{id}, b.drain(t, 1))
		a.quiet(t)
	}},
	{"subscribing needs a topic and a group", func(t *testing.T, s *stage) {
		for name, sub := range map[string]transport.Subscription{
			"no topic":               {Group: "g", Kind: transport.KindEvent},
			"no group":               {Topic: s.topic, Kind: transport.KindEvent},
			"a reply with a group":   {Topic: s.topic, Group: "g", Kind: transport.KindReply},
			"a name beyond measure":  {Topic: string(make([]byte, transport.MaxNameBytes)), Group: "g", Kind: transport.KindEvent},
			"a kind nobody heard of": {Topic: s.topic, Group: "g", Kind: transport.KindReply + 1},
		} {
			if err := tryConsume(t, s.receiver, sub); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	}},
	{"sending needs a topic", func(t *testing.T, s *stage) {
		never := func(error) { t.Error("done was called for a send that was not taken") }
		if err := transport.SenderOf(s.sender).Send(t.Context(), transport.Publication{}, s.message(), never); err == nil {
			t.Error("no error")
		}
	}},
	{"an open transport reports no error", func(t *testing.T, s *stage) {
		r, ok := s.receiver.(transport.Reporter)
		if !ok {
			return
		}
		if err := r.Report(); err != nil {
			t.Errorf("report: %v", err)
		}
	}},
}
