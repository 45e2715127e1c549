package transporttest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

var send = []test{
	{"done is called exactly once", func(t *testing.T, s *stage) {
		in := consume(t, s.receiver, s.event("g", 64))
		const n = 100
		calls := make([]atomic.Int64, n)
		var open sync.WaitGroup
		for i := range n {
			open.Add(1)
			err := transport.SenderOf(s.sender).Send(t.Context(), transport.Publication{Topic: s.topic, Deadline: time.Now().Add(patience)},
				s.message(), func(err error) {
					if err != nil {
						t.Errorf("send %d: %v", i, err)
					}
					if calls[i].Add(1) == 1 {
						open.Done()
					}
				})
			if err != nil {
				t.Fatalf("send %d: %v", i, err)
			}
		}
		open.Wait()
		in.drain(t, n)
		for i := range calls {
			if c := calls[i].Load(); c != 1 {
				t.Errorf("done of send %d was called %d times", i, c)
			}
		}
	}},
	{"a mandatory message that no queue takes is unroutable", func(t *testing.T, s *stage) {
		if s.can.Mandatory == transport.None {
			return
		}
		wantError(t, "no group", outcome(t, s.start(t, transport.Publication{Mandatory: true}, s.message())), transport.ErrUnroutable)
		consume(t, s.receiver, s.event("g", 1))
		if err := outcome(t, s.start(t, transport.Publication{Mandatory: true}, s.message())); err != nil {
			t.Errorf("a group is there: %v", err)
		}
		wantError(t, "no queue of that name",
			outcome(t, s.start(t, transport.Publication{Topic: s.topic + "--nobody", Direct: true, Mandatory: true}, s.message())), transport.ErrUnroutable)
	}},
	{"a message that nobody wants is no error", func(t *testing.T, s *stage) {
		s.send(t, transport.Publication{})
	}},
	{"a direct message reaches a reply address", func(t *testing.T, s *stage) {
		sub := transport.Subscription{Topic: s.topic + ".reply", Kind: transport.KindReply, Concurrency: 4}
		if s.can.Reply == transport.None {
			unsupported(t, "KindReply", tryConsume(t, s.receiver, sub))
			return
		}
		in := consume(t, s.receiver, sub)
		id := s.send(t, transport.Publication{Topic: sub.Topic, Direct: true}).UUID
		same(t, "delivered", []string{id}, in.drain(t, 1))
	}},
	{"dead letters are kept until they are taken", func(t *testing.T, s *stage) {
		sub := s.event("g", 1)
		sub.DeadTopic = transport.DeadName(s.topic, "g")
		if s.can.DeadLetter == transport.None {
			unsupported(t, "Subscription.DeadTopic", tryConsume(t, s.receiver, sub))
			return
		}
		in := consume(t, s.receiver, sub)
		id := s.send(t, transport.Publication{Topic: sub.DeadTopic, Direct: true, Mandatory: s.can.Mandatory != transport.None}).UUID
		in.quiet(t)
		browser, ok := s.receiver.(transport.Browser)
		if !ok {
			return
		}
		peek(t, browser, sub.DeadTopic, id, transport.Requeue)
		peek(t, browser, sub.DeadTopic, id, transport.Ack)
		empty(t, browser, sub.DeadTopic)
	}},
	{"a delayed message is never early", func(t *testing.T, s *stage) {
		const delay = 300 * time.Millisecond
		p := transport.Publication{Topic: s.topic, Delay: delay}
		in := consume(t, s.receiver, s.event("g", 4))
		if s.can.Delay == transport.None {
			unsupported(t, "Publication.Delay", outcome(t, s.start(t, p, s.message())))
			return
		}
		before := time.Now()
		late := s.send(t, p).UUID
		soon := s.send(t, transport.Publication{}).UUID
		inOrder(t, "delivered", []string{soon, late}, in.drain(t, 2))
		if took := time.Since(before); took < delay {
			t.Errorf("delivered after %v, the delay is %v", took, delay)
		}
		if s.can.Target == transport.None {
			return
		}
		before = time.Now()
		s.send(t, transport.Publication{Topic: s.topic, Group: "g", Delay: delay})
		in.drain(t, 1)
		if took := time.Since(before); took < delay {
			t.Errorf("delivered to one group after %v, the delay is %v", took, delay)
		}
	}},
	{"an expired message frees its queue", func(t *testing.T, s *stage) {
		if s.can.TTL == transport.None || s.can.StandingGroups == transport.None {
			return
		}
		s.declare(t, s.event("g", 4))
		s.send(t, transport.Publication{Expires: time.Now().Add(hush)})
		kept := s.send(t, transport.Publication{Expires: time.Now().Add(time.Hour)}).UUID
		after := time.NewTimer(3 * hush)
		defer after.Stop()
		<-after.C
		in := consume(t, s.receiver, s.event("g", 4))
		same(t, "delivered", []string{kept}, in.drain(t, 1))
		in.quiet(t)
	}},
	{"a send that has to wait ends with its context or its deadline", waitingSends},
}

// waitingSends proves the bounds of a Send that waits for room.
func waitingSends(t *testing.T, s *stage) {
	if s.harness.OpenBounded == nil {
		return
	}
	const capacity = 3
	tr := closing(t, s.harness.OpenBounded(t, capacity))
	s.sender, s.receiver = tr, tr
	s.declare(t, s.event("g", 1))
	ids := s.sendMany(t, capacity, transport.Publication{})
	sender := transport.SenderOf(tr)
	never := func(error) { t.Error("done was called for a send that was not taken") }

	wantError(t, "no wait", sender.Send(t.Context(), transport.Publication{Topic: s.topic, NoWait: true}, s.message(), never), transport.ErrBacklog)

	before := time.Now()
	err := outcome(t, s.start(t, transport.Publication{Deadline: before.Add(hush)}, s.message()))
	wantError(t, "deadline", err, transport.ErrBlocked)
	if took := time.Since(before); took < hush {
		t.Errorf("gave up after %v, the deadline was in %v", took, hush)
	}

	ctx, cancel := context.WithTimeout(t.Context(), hush)
	defer cancel()
	err = sender.Send(ctx, transport.Publication{Topic: s.topic}, s.message(), never)
	wantError(t, "context", err, transport.ErrBlocked)
	wantError(t, "context", err, context.DeadlineExceeded)

	waiting := s.message()
	ids = append(ids, waiting.UUID)
	result := make(chan error, 1)
	go func() {
		err := sender.Send(context.Background(), transport.Publication{Topic: s.topic, Deadline: time.Now().Add(patience)},
			waiting, func(err error) { result <- err })
		if err != nil {
			result <- err
		}
	}()
	in := consume(t, tr, s.event("g", 1))
	same(t, "delivered", ids, in.drain(t, capacity+1))
	if err := outcome(t, result); err != nil {
		t.Errorf("a send that got room: %v", err)
	}
	in.close(t)

	s.sendMany(t, capacity, transport.Publication{})
	go func() {
		result <- sender.Send(context.Background(), transport.Publication{Topic: s.topic}, s.message(), never)
	}()
	select {
	case err := <-result:
		t.Errorf("a send to a full queue returned %v", err)
	case <-time.After(hush):
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	wantError(t, "close", outcome(t, result), transport.ErrClosed)
}

// peek takes the one message of a queue and settles it.
func peek(t *testing.T, b transport.Browser, queue, id string, o transport.Outcome) {
	t.Helper()
	deadline := time.After(patience)
	for {
		taken, err := b.Take(t.Context(), queue, 10)
		if err != nil {
			t.Fatalf("take from %q: %v", queue, err)
		}
		if len(taken) > 0 {
			if len(taken) != 1 || taken[0].Message().UUID != id {
				t.Errorf("took %d messages, the first is %q, want only %q", len(taken), taken[0].Message().UUID, id)
			}
			settle(t, taken[0], o)
			return
		}
		select {
		case <-deadline:
			t.Fatalf("nothing in %q", queue)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func empty(t *testing.T, b transport.Browser, queue string) {
	t.Helper()
	taken, err := b.Take(t.Context(), queue, 10)
	if err != nil || len(taken) != 0 {
		t.Errorf("took %d messages and error %v, want none", len(taken), err)
	}
	infos, err := b.Queues(t.Context(), queue)
	if err != nil && !errors.Is(err, transport.ErrUnsupported) || err == nil && (len(infos) != 1 || infos[0].Ready != 0) {
		t.Errorf("the queue is described as %+v with error %v, want it empty", infos, err)
	}
}
