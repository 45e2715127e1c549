package amqptransport

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// ensure makes the exchange of topic exist before the first message of a publishing connection goes there, and with
// it the queues of that topic that this process knows of. It waits for the consuming connection as long as ses lives.
func (t *Transport) ensure(ses *session, topic string) error {
	if topic == "" || t.settings.declare == transport.DeclareNone {
		return nil
	}
	return t.once(ses, t.settings.config.Exchange.GenerateName(topic), func(ctx context.Context, via *session) error {
		return t.insist(ctx, func() error { return t.buildTopic(ctx, via, topic) })
	})
}

// buildTopic makes the exchange of topic, and what this process knows of its groups.
func (t *Transport) buildTopic(ctx context.Context, via *session, topic string) error {
	if err := t.onChannel(ctx, via, func(ch *amqp.Channel) error { return t.buildExchange(ch, topic) }); err != nil {
		return err
	}
	for _, s := range t.topology.of(topic) {
		if err := t.build(ctx, via, s); err != nil {
			return err
		}
	}
	return nil
}

// prepared reports whether prepare has nothing to do.
func (t *Transport) prepared(ses *session, s *send) bool {
	what := t.need(s)
	if what == nil {
		return true
	}
	_, done := ses.ensured.Load(what)
	return done
}

// need is what has to stand at the broker before s is written: an exchange's name, a [target], or nil for nothing.
func (t *Transport) need(s *send) any {
	switch {
	case t.settings.declare == transport.DeclareNone:
		return nil
	case s.target != "":
		return s.target
	case s.topic != "":
		return s.exchange
	default:
		return nil
	}
}

// once calls declare, with a consuming connection, unless it has succeeded before for this publishing connection and
// what, which is an exchange's name or a [target]. Of many who call it, one declares and the others wait.
func (t *Transport) once(ses *session, what any, declare func(context.Context, *session) error) error {
	if _, done := ses.ensured.Load(what); done {
		return nil
	}
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-ses.lost:
			cancel(errSessionLost)
		case <-ctx.Done():
		}
	}()
	end, err := t.providing.take(ctx, what)
	if err != nil {
		return errSessionLost
	}
	defer end()
	if _, done := ses.ensured.Load(what); done {
		return nil
	}
	err = t.persist(ctx, func(via *session) error {
		err := declare(ctx, via)
		if err == nil {
			via.useful.Store(true)
		}
		return err
	})
	switch {
	case err == nil:
		ses.ensured.Store(what, true)
		return nil
	case ctx.Err() != nil:
		return errSessionLost
	default:
		return err
	}
}

// forget makes once declare again: somebody has deleted what was there.
func (t *Transport) forget(what any) {
	t.publish.mu.Lock()
	defer t.publish.mu.Unlock()
	if ses := t.publish.current; ses != nil {
		ses.ensured.Delete(what)
	}
}

// lookAgain makes what s needs be declared again.
func (t *Transport) lookAgain(s *send) {
	switch {
	case s.target != "":
		t.doubt(s.target)
	case s.topic != "":
		t.forget(s.exchange)
	}
}
