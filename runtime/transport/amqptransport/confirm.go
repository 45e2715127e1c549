package amqptransport

import (
	"slices"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// collect takes the broker's answers until the channel is over, and then those that came before its end. Those that are
// still to come on a channel that was given up are not waited for.
func (sh *shard) collect(over, given <-chan struct{}) {
	var out answers
	for sh.await(over) && sh.collectDone(&out) {
	}
	<-over
	sh.mu.Lock()
	last := slices.Clone(sh.inflight.items())
	confirms := make([]*amqp.DeferredConfirmation, len(last))
	for i, s := range last {
		confirms[i] = s.confirm
	}
	sh.mu.Unlock()
	for _, confirm := range confirms {
		select {
		case <-confirm.Done():
		case <-given:
		}
	}
	sh.mu.Lock()
	for i, s := range last {
		if s.confirm == confirms[i] && !s.finished && isDone(s.confirm) {
			sh.settle(&out, s)
		}
	}
	sh.restore(&out)
	sh.mu.Unlock()
	sh.deliver(&out)
}

// await waits until the oldest send in flight has its confirm. It reports false when the channel is over.
func (sh *shard) await(over <-chan struct{}) bool {
	for {
		sh.mu.Lock()
		var done <-chan struct{}
		if s := sh.inflight.head(); s != nil {
			done = s.confirm.Done()
		}
		sh.mu.Unlock()
		select {
		case <-done:
			return true
		case <-sh.flight:
		case <-over:
			return false
		}
	}
}

// collectDone takes the confirms that are there, from the oldest to the first that is missing. It reports false when that
// one will never come.
func (sh *shard) collectDone(out *answers) (more bool) {
	sh.mu.Lock()
	more = true
	for s := sh.inflight.head(); s != nil && isDone(s.confirm); s = sh.inflight.head() {
		if more = sh.settle(out, s); !more {
			break
		}
	}
	if more {
		sh.hear()
	}
	sh.restore(out)
	sh.mu.Unlock()
	sh.deliver(out)
	return more
}

// settle reads the confirm of s, which is there. It reports false when that is not the broker's word. The caller holds the
// lock.
//
// The client library answers every open confirm with a refusal when the channel ends. It marks the channel as closed
// before that, so a refusal on an open channel is the broker's own.
func (sh *shard) settle(out *answers, s *send) bool {
	acked := s.confirm.Acked()
	if !acked && sh.channel.IsClosed() {
		return false
	}
	if !sh.progress {
		sh.progress = true
		sh.ses.useful.Store(true)
	}
	sh.attribute()
	sh.inflight.remove(s)
	if sh.spent && sh.inflight.len() == 0 {
		sh.signal()
	}
	switch {
	case !acked:
		sh.distrust()
		sh.finish(out, s, transport.ErrNacked)
	case s.returned == "":
		sh.finish(out, s, nil)
	case sh.mends(s):
		out.again = append(out.again, s)
	default:
		sh.finish(out, s, sh.unroutable(s))
	}
	return true
}

// attribute finds the sends of the messages that the broker gave back. A return comes before its confirm, and returns
// come in the order of the sends, so the first one that fits is the right one. The caller holds the lock.
func (sh *shard) attribute() {
	for {
		select {
		case r, open := <-sh.returns:
			if !open {
				sh.returns = nil
				return
			}
			if s := sh.sender(&r); s != nil {
				s.returned = r.ReplyText
			}
		default:
			return
		}
	}
}

func (sh *shard) sender(r *amqp.Return) *send {
	fits := func(s *send) bool {
		return s != nil && (s.mandatory || s.expected) && s.returned == "" && s.id == r.MessageId &&
			s.key == r.RoutingKey && s.exchange == r.Exchange
	}
	for _, s := range sh.inflight.items() {
		if fits(s) {
			return s
		}
	}
	if fits(sh.writing) {
		return sh.writing
	}
	return nil
}

func isDone(c *amqp.DeferredConfirmation) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}
