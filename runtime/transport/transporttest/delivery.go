package transporttest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

var delivery = []test{
	{"every message is delivered once", func(t *testing.T, s *stage) {
		in := consume(t, s.receiver, s.event("g", 16))
		ids := s.sendMany(t, 200, transport.Publication{})
		same(t, "delivered", ids, in.drain(t, len(ids)))
		in.quiet(t)
	}},
	{"deliveries settle at once and in any order", func(t *testing.T, s *stage) {
		in := consume(t, s.receiver, s.event("g", 32))
		s.sendMany(t, 32, transport.Publication{})
		out := make([]transport.Delivery, 32)
		for i := range out {
			out[i] = in.next(t)
		}
		var calls atomic.Int64
		var settling sync.WaitGroup
		for i := range out {
			settling.Go(func() {
				done := make(chan struct{})
				out[len(out)-1-i].Settle(transport.Ack, func(err error) {
					if err != nil {
						t.Errorf("settle: %v", err)
					}
					if calls.Add(1) <= int64(len(out)) {
						close(done)
					}
				})
				select {
				case <-done:
				case <-time.After(patience):
					t.Error("a settlement did not end")
				}
			})
		}
		settling.Wait()
		if n := calls.Load(); n != int64(len(out)) {
			t.Errorf("done was called %d times for %d settlements", n, len(out))
		}
		id := s.send(t, transport.Publication{}).UUID
		same(t, "after the settlements", []string{id}, in.drain(t, 1))
	}},
	{"a requeued message comes again", func(t *testing.T, s *stage) {
		in := consume(t, s.receiver, s.event("g", 4))
		id := s.send(t, transport.Publication{}).UUID
		d := in.next(t)
		if n := d.Redeliveries(); n != 0 {
			t.Errorf("the first delivery says that it was delivered %d times before", n)
		}
		settle(t, d, transport.Requeue)
		again := in.ack(t)
		if again.Message().UUID != id {
			t.Errorf("got %q again, want %q", again.Message().UUID, id)
		}
		if s.can.Redelivery == transport.Native && again.Redeliveries() < 1 {
			t.Errorf("the second delivery says that it was delivered %d times before", again.Redeliveries())
		}
		in.quiet(t)
	}},
	{"what a receiver does to its message does not come again", func(t *testing.T, s *stage) {
		in := consume(t, s.receiver, s.event("g", 1))
		msg := s.message()
		msg.Metadata.Set("color", "blue")
		if err := outcome(t, s.start(t, transport.Publication{}, msg)); err != nil {
			t.Fatal(err)
		}
		d := in.next(t)
		d.Message().Metadata.Set("color", "red")
		settle(t, d, transport.Requeue)
		if got := in.ack(t).Message().Metadata.Get("color"); got != "blue" {
			t.Errorf("color is %q, want blue", got)
		}
	}},
	{"the bound on deliveries in flight holds", func(t *testing.T, s *stage) {
		sub := s.event("g", 2)
		sub.Prefetch = 3
		in := consume(t, s.receiver, sub)
		s.sendMany(t, 10, transport.Publication{})
		out := []transport.Delivery{in.next(t), in.next(t), in.next(t)}
		in.quiet(t)
		settle(t, out[1], transport.Ack)
		in.next(t)
		in.quiet(t)
	}},
	{"only the first settlement counts", func(t *testing.T, s *stage) {
		in := consume(t, s.receiver, s.event("g", 1))
		s.send(t, transport.Publication{})
		d := in.ack(t)
		var calls atomic.Int64
		d.Settle(transport.Requeue, func(error) { calls.Add(1) })
		d.Settle(transport.Requeue, nil)
		in.quiet(t)
		if n := calls.Load(); n != 1 {
			t.Errorf("done of the second settlement was called %d times", n)
		}
	}},
	{"close gives back what is out", func(t *testing.T, s *stage) {
		if s.can.Redelivery == transport.None {
			closeLosesNothingSettled(t, s)
			return
		}
		sub := s.event("g", 8)
		in := consume(t, s.receiver, sub)
		ids := s.sendMany(t, 5, transport.Publication{})
		out := make([]transport.Delivery, len(ids))
		for i := range out {
			out[i] = in.next(t)
		}
		in.close(t)
		for _, d := range out {
			ctx := d.Message().Context()
			select {
			case <-ctx.Done():
			case <-time.After(patience):
				t.Fatal("the context of a lost delivery did not end")
			}
			wantError(t, "cause of a lost delivery's context", context.Cause(ctx), transport.ErrDeliveryLost)
			wantError(t, "settling a lost delivery", settled(t, d, transport.Ack), transport.ErrDeliveryLost)
		}
		again := consume(t, s.another(t), sub)
		got := make([]string, 0, len(ids))
		for range ids {
			d := again.ack(t)
			got = append(got, d.Message().UUID)
			if s.can.Redelivery == transport.Native && d.Redeliveries() < 1 {
				t.Errorf("%q says that it was delivered %d times before", d.Message().UUID, d.Redeliveries())
			}
		}
		same(t, "delivered again", ids, got)
		again.quiet(t)
	}},
	{"what the broker has settled is settled whatever follows", func(t *testing.T, s *stage) {
		if s.can.Settlement != transport.Native || s.can.StandingGroups == transport.None {
			return
		}
		sub := s.event("g", 4)
		s.declare(t, sub)
		tr := s.open(t)
		in := consume(t, tr, sub)
		ids := s.sendMany(t, 4, transport.Publication{})
		out := []transport.Delivery{in.next(t), in.next(t), in.next(t), in.next(t)}
		var kept []string
		for i, d := range out {
			if i%2 == 0 {
				settle(t, d, transport.Ack)
			} else {
				kept = append(kept, d.Message().UUID)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Fatal(err)
		}
		again := consume(t, s.receiver, sub)
		same(t, "of "+strings.Join(ids, ", ")+" come again", kept, again.drain(t, len(kept)))
		again.quiet(t)
	}},
	{"what was stored outlives every connection", func(t *testing.T, s *stage) {
		if s.can.Durable == transport.None {
			return
		}
		sub := s.event("g", 1)
		s.declare(t, sub)
		id := s.send(t, transport.Publication{}).UUID
		for _, tr := range []transport.Transport{s.sender, s.receiver} {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := tr.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "after all connections", []string{id}, consume(t, s.open(t), sub).drain(t, 1))
	}},
	{"after stop deliveries still settle", func(t *testing.T, s *stage) {
		sub := s.event("g", 8)
		in := consume(t, s.receiver, sub)
		s.sendMany(t, 3, transport.Publication{})
		out := []transport.Delivery{in.next(t), in.next(t), in.next(t)}
		in.stop(t)
		in.stop(t)
		id := s.send(t, transport.Publication{}).UUID
		in.quiet(t)
		for _, d := range out {
			settle(t, d, transport.Ack)
		}
		in.close(t)
		if s.can.StandingGroups == transport.None {
			return
		}
		again := consume(t, s.another(t), sub)
		same(t, "delivered to the next consumer", []string{id}, again.drain(t, 1))
		again.quiet(t)
	}},
}

// closeLosesNothingSettled is what a transport without redelivery still owes: Close ends, and a settled message stays
// settled.
func closeLosesNothingSettled(t *testing.T, s *stage) {
	t.Helper()
	in := consume(t, s.receiver, s.event("g", 1))
	s.send(t, transport.Publication{})
	d := in.ack(t)
	in.close(t)
	again := consume(t, s.receiver, s.event("g", 1))
	again.quiet(t)
	wantError(t, "settling after close", settled(t, d, transport.Ack), transport.ErrDeliveryLost)
}
