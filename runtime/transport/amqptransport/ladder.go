package amqptransport

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// ParkedQueue is the queue of the vhost that takes delayed messages whose target has gone by the time that they are
// due. [transport.MetaDelayTarget] says where each of them was meant to go.
const ParkedQueue = "async.delay.parked"

// deliverExchange is the foot of the ladder, where every target is bound.
const deliverExchange = "async.delay.deliver"

// levelName is the name of both the exchange and the queue of a level.
func levelName(n int) string { return "async.delay." + strconv.Itoa(n) }

// ladder knows on which connection the ladder was found or built.
type ladder struct {
	turn chan struct{} // holds a token while somebody builds the ladder
	on   *session
	// doubted: a message did not get through, so that a look at the top is not enough.
	doubted atomic.Bool
}

func newLadder() ladder { return ladder{turn: make(chan struct{}, 1)} }

// raise makes the ladder exist, or verifies it, once for each consuming connection. Whoever waits for somebody else to do so
// waits no longer than ctx.
func (t *Transport) raise(ctx context.Context, ses *session) error {
	if t.settings.declare == transport.DeclareNone {
		return nil
	}
	select {
	case t.ladder.turn <- struct{}{}:
		defer func() { <-t.ladder.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	doubted := t.ladder.doubted.Swap(false)
	if t.ladder.on == ses && !doubted {
		return nil
	}
	standing := false
	if t.settings.declare == transport.DeclareCreate && !doubted {
		var err error
		if standing, err = t.stands(ctx, ses); err != nil {
			return err
		}
	}
	var err error
	if !standing {
		err = t.rebuild(ctx, ses)
	}
	if err == nil {
		err = t.openParking(ctx, ses)
	}
	if err != nil {
		t.ladder.doubted.Store(doubted)
		return err
	}
	t.ladder.on = ses
	return nil
}

// rebuild makes all of the ladder, and the bindings of the queues that this process knows of: a foot that is new has
// none. A queue that is not there yet is bound when it is made.
func (t *Transport) rebuild(ctx context.Context, ses *session) error {
	if err := t.buildLadder(ctx, ses); err != nil {
		return err
	}
	for _, s := range t.topology.all() {
		if err := t.bindTargets(ctx, ses, s); err != nil && serverCode(err) != amqp.NotFound {
			return err
		}
	}
	return nil
}

// stands reports whether the top of the ladder, which is made last, and all its queues are there. Should the one who made
// the top have died before its bindings, then the first message that needs them comes back and leads to repair.
func (t *Transport) stands(ctx context.Context, ses *session) (bool, error) {
	there, err := t.hasExchange(ctx, ses, levelName(levels-1))
	if err != nil || !there {
		return false, err
	}
	queue := ParkedQueue
	err = t.onChannel(ctx, ses, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		for n := 0; n < levels && err == nil; n++ {
			queue = levelName(n)
			_, err = ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		}
		return err
	})
	if serverCode(err) == amqp.NotFound {
		return false, nil
	}
	return err == nil, wrap("queue", queue, err)
}

func (t *Transport) hasExchange(ctx context.Context, ses *session, name string) (bool, error) {
	err := t.onChannel(ctx, ses, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(name, amqp.ExchangeTopic, true, false, false, false, nil)
	})
	if serverCode(err) == amqp.NotFound {
		return false, nil
	}
	return err == nil, wrap("exchange", name, err)
}

// buildLadder goes from the foot to the top, since each level needs the one below.
func (t *Transport) buildLadder(ctx context.Context, ses *session) error {
	parked := amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum, "x-delivery-limit": int32(noLimit)}
	if err := t.buildQueue(ctx, ses, ParkedQueue, parked); err != nil {
		return err
	}
	alternate := amqp.Table{"alternate-exchange": ParkedQueue}
	if err := t.buildLadderExchange(ctx, ses, deliverExchange, amqp.ExchangeTopic, alternate, nil); err != nil {
		return err
	}
	below := deliverExchange
	for n := range levels {
		name := levelName(n)
		if err := t.buildQueue(ctx, ses, name, levelArguments(n, below)); err != nil {
			return err
		}
		next := below
		err := t.buildLadderExchange(ctx, ses, name, amqp.ExchangeTopic, nil, func(ch *amqp.Channel) error {
			passed := strings.Repeat("*.", n)
			if err := ch.QueueBind(name, passed+"1.#", name, false, nil); err != nil {
				return err
			}
			return ch.ExchangeBind(next, passed+"0.#", name, false, nil)
		})
		if err != nil {
			return err
		}
		below = name
	}
	return nil
}

// openParking makes the exchange that leads to the parked queue. It is the one thing here that a restart of the broker takes
// away: while the broker comes up it forwards messages before it knows all its bindings, and would park those whose target
// is merely not known yet. Without this exchange they stay where they are and are forwarded later.
func (t *Transport) openParking(ctx context.Context, ses *session) error {
	there, err := t.hasExchange(ctx, ses, ParkedQueue)
	if err != nil {
		return err
	}
	err = t.onChannel(ctx, ses, func(ch *amqp.Channel) error {
		if t.settings.declare == transport.DeclareVerify {
			return ch.ExchangeDeclarePassive(ParkedQueue, amqp.ExchangeFanout, false, false, false, false, nil)
		}
		if !there {
			if err := ch.ExchangeDeclare(ParkedQueue, amqp.ExchangeFanout, false, false, false, false, nil); err != nil {
				return err
			}
		}
		return ch.QueueBind(ParkedQueue, "", ParkedQueue, false, nil)
	})
	if there && serverCode(err) == amqp.AccessRefused {
		return nil
	}
	return topologyError("exchange", ParkedQueue, err)
}

// levelArguments are final. Dead-lettering at least once is what keeps a message while the broker restarts, and needs
// the queue to refuse rather than to drop.
func levelArguments(n int, below string) amqp.Table {
	return amqp.Table{
		amqp.QueueTypeArg:        amqp.QueueTypeQuorum,
		amqp.QueueMessageTTLArg:  int32((time.Second << n).Milliseconds()),
		amqp.QueueOverflowArg:    amqp.QueueOverflowRejectPublish,
		"x-dead-letter-exchange": below,
		"x-dead-letter-strategy": "at-least-once",
	}
}

// buildLadderExchange declares or verifies an exchange of the ladder; with bind, it binds what belongs to it.
func (t *Transport) buildLadderExchange(ctx context.Context, ses *session, name, kind string, arguments amqp.Table, bind func(*amqp.Channel) error) error {
	return t.onChannel(ctx, ses, func(ch *amqp.Channel) error {
		if t.settings.declare == transport.DeclareVerify {
			if err := ch.ExchangeDeclarePassive(name, kind, true, false, false, false, arguments); err != nil {
				return topologyError("exchange", name, err)
			}
		}
		err := ch.ExchangeDeclare(name, kind, true, false, false, false, arguments)
		if err == nil && bind != nil && t.settings.declare == transport.DeclareCreate {
			err = bind(ch)
		}
		return t.declared("exchange", name, err)
	})
}

// targets are where delayed messages for the queue of s may be bound to: itself, and its topics.
func (t *Transport) targets(s transport.Subscription) []target {
	list := []target{queueTarget(t.queueOf(s))}
	for _, topic := range topics(s) {
		if t.settings.config.Exchange.GenerateName(topic) != "" {
			list = append(list, topicTarget(topic))
		}
	}
	return list
}

// bindTargets lets delayed messages reach the queue of s. A queue bound here itself, rather than through the exchange of
// its topic, leaves no way into a place without an exit: a message that finds no queue there would hold back the whole
// level that it comes from.
func (t *Transport) bindTargets(ctx context.Context, ses *session, s transport.Subscription) error {
	if t.settings.declare != transport.DeclareCreate {
		return nil
	}
	queue := t.queueOf(s)
	return t.onChannel(ctx, ses, func(ch *amqp.Channel) error {
		for _, to := range t.targets(s) {
			if err := ch.QueueBind(queue, to.binding(), deliverExchange, false, nil); err != nil {
				return topologyError("queue", queue, err)
			}
		}
		return nil
	})
}

// ready makes the ladder exist before the first delayed message of a publishing connection goes there, and the way from
// its foot to a single queue.
func (t *Transport) ready(ses *session, to target) error {
	if t.settings.declare == transport.DeclareNone {
		return nil
	}
	return t.once(ses, to, func(ctx context.Context, via *session) error {
		if err := t.raise(ctx, via); err != nil {
			return err
		}
		queue := to.queue()
		if queue == "" || t.settings.declare != transport.DeclareCreate {
			return nil
		}
		err := t.onChannel(ctx, via, func(ch *amqp.Channel) error {
			return ch.QueueBind(queue, to.binding(), deliverExchange, false, nil)
		})
		if serverCode(err) == amqp.NotFound {
			return fmt.Errorf("%w: queue %q does not exist: %w", transport.ErrUnroutable, queue, err)
		}
		return topologyError("queue", queue, err)
	})
}

// doubt makes ready look again, at all of the ladder: a message did not get through.
func (t *Transport) doubt(to target) {
	t.ladder.doubted.Store(true)
	t.forget(to)
}
