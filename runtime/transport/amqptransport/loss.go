package amqptransport

import (
	"errors"
	"fmt"
	"slices"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// unwritten takes s back after a write that failed, which also ends the channel.
func (sh *shard) unwritten(s *send, err error) {
	var out answers
	sh.mu.Lock()
	sh.writing = nil
	// ErrClosed comes before the first byte; any other error may come after the last.
	s.suspect = s.suspect || !errors.Is(err, amqp.ErrClosed)
	if s.answered {
		sh.finish(&out, s, nil)
	} else {
		sh.outbox.restore([]*send{s})
	}
	sh.mu.Unlock()
	sh.deliver(&out)
}

// lose takes back what was under way on a channel that has ended, to be sent again in the same order. refused says
// that the broker closed this channel for what one of its messages asked for; the connection still stands.
func (sh *shard) lose(cause error, refused bool) {
	var out answers
	sh.mu.Lock()
	sh.attribute()
	under := slices.Clone(sh.inflight.items())
	var again []*send
	for _, s := range under {
		switch {
		case s.answered:
			sh.finish(&out, s, nil)
		case s.returned != "" && sh.mends(s):
			again = append(again, s)
		case s.returned != "":
			sh.finish(&out, s, sh.unroutable(s))
		default:
			s.suspect, s.confirm = true, nil
			again = append(again, s)
		}
	}
	sh.inflight, sh.returns, sh.alone = queue{}, nil, 0
	if refused {
		missing := serverCode(cause) == amqp.NotFound
		// Nothing but publications happens on this channel, so a send that was alone on it is the cause.
		if len(under) == 1 && len(again) == 1 && !(missing && sh.repairable(again[0])) {
			sh.finish(&out, again[0], sh.refusal(again[0], cause))
			again = nil
		}
		for _, s := range again {
			if missing {
				sh.t.lookAgain(s)
			}
		}
		for _, s := range again {
			if s.suspect {
				sh.alone++
			}
		}
	}
	sh.outbox.restore(again)
	sh.mu.Unlock()
	sh.deliver(&out)
}

// mends reports whether s, which the broker gave back, is to be sent again after what it needs was declared once more.
func (sh *shard) mends(s *send) bool {
	if s.answered || !s.expected || !sh.repairable(s) {
		return false
	}
	sh.t.lookAgain(s)
	s.returned, s.confirm = "", nil
	return true
}

// repairable reports whether the exchange of s, a binding or the ladder, which somebody has deleted, is declared once
// more.
func (sh *shard) repairable(s *send) bool {
	s.repairs++
	return (s.topic != "" || s.target != "") && sh.t.settings.declare == transport.DeclareCreate && s.repairs <= maxRepairs
}

func (sh *shard) unroutable(s *send) error {
	if s.target != "" {
		// The ladder is broken, whoever wants the message: nobody shall take this for a topic without groups.
		return fmt.Errorf("%w: %w: no queue of the delay ladder takes routing key %q of exchange %q; declare the ladder on the broker, or let this program do it with declare: create",
			transport.ErrUnroutable, transport.ErrTopology, s.key, s.exchange)
	}
	if !s.mandatory {
		return nil
	}
	return fmt.Errorf("%w: exchange %q, routing key %q: %s", transport.ErrUnroutable, s.exchange, s.key, s.returned)
}

func (sh *shard) refusal(s *send, cause error) error {
	switch serverCode(cause) {
	case amqp.AccessRefused:
		return fmt.Errorf("%w: the broker refuses this user to write to exchange %q, or %q where that is empty; grant it write on that (%w)",
			transport.ErrNacked, s.exchange, "amq.default", cause)
	case amqp.NotFound:
		return topologyError("exchange", s.exchange, cause)
	case amqp.PreconditionFailed:
		if m := oversized.FindStringSubmatch(cause.Error()); m != nil {
			return fmt.Errorf("%w: the message has %s bytes, the broker's max_message_size is %s; make it smaller, or raise that in rabbitmq.conf (%w)",
				transport.ErrTooLarge, m[1], m[2], cause)
		}
		return fmt.Errorf("%w: %w", transport.ErrNacked, cause)
	default:
		return fmt.Errorf("%w: %w", transport.ErrNacked, cause)
	}
}
