package amqptransport

import (
	"context"
	"errors"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// standing is the time between two looks at whether the answers are there that a repair waits for.
const standing = time.Millisecond

// provide comes nearer to what s needs: it waits a little, or declares it, or fails s. It returns an error when the channel is
// over.
func (sh *shard) provide(ses *session, s *send, closed <-chan *amqp.Error, given <-chan struct{}) error {
	if sh.t.underway(s) {
		return sh.stand(closed, given)
	}
	err := sh.t.prepare(ses, s)
	if errors.Is(err, errSessionLost) {
		return endOf(<-closed)
	}
	if err != nil {
		sh.fail(s, err)
	}
	return nil
}

// underway reports whether the broker still has to answer messages that need what s needs, from any shard. Were that repaired
// now, then a message that is on its way could be stored ahead of an earlier one that the broker has given back and that
// this shard does not know of yet. Nothing follows them meanwhile: what is to be repaired counts as missing for all shards.
func (t *Transport) underway(s *send) bool {
	what := t.need(s)
	for _, sh := range t.shards {
		if sh.carries(what) {
			return true
		}
	}
	return false
}

// carries reports whether a message that needs what, and whose sender still wants to know, has no answer yet.
func (sh *shard) carries(what any) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if w := sh.writing; w != nil && !w.answered && sh.t.need(w) == what {
		return true
	}
	for _, s := range sh.inflight.items() {
		if !s.answered && sh.t.need(s) == what {
			return true
		}
	}
	return false
}

// insist calls build again when something that it has just declared is not there: a deletion takes a while, and what is declared
// before its end goes with it.
func (t *Transport) insist(ctx context.Context, build func() error) error {
	b := newBackoff(t.settings.pace)
	for tries := 1; ; tries++ {
		err := build()
		if serverCode(err) != amqp.NotFound || t.settings.declare != transport.DeclareCreate || tries == maxRepairs || !b.wait(ctx) {
			return err
		}
	}
}

// stand lets a little time pass. It returns an error when the channel is over.
func (sh *shard) stand(closed <-chan *amqp.Error, given <-chan struct{}) error {
	timer := time.NewTimer(standing)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-given:
		return errGivenUp
	case e := <-closed:
		return endOf(e)
	}
}

// endOf is the error of a channel that has ended with e.
func endOf(e *amqp.Error) error {
	if e != nil {
		return e
	}
	return amqp.ErrClosed
}
