package amqptransport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// maxRepairs is how often the exchange of one message is declared again before the message fails.
const maxRepairs = 3

// shard is one publishing channel, from one loss to the next, and what goes over it. One goroutine writes and one
// waits for confirms, so that a caller never stands in a write that the broker does not read.
type shard struct {
	t    *Transport
	wake chan struct{}

	mu       sync.Mutex
	closed   bool
	outbox   queue // not written, or to be written again
	writing  *send // inside the client library
	inflight queue // written, in the order of their confirms
	// alone is how many sends at the head of the outbox go one by one, because one of them made the broker close the
	// channel.
	alone   int
	channel *amqp.Channel
	returns chan amqp.Return
	// progress tells that the broker has answered at least one send of this channel.
	progress bool
}

func newShard(t *Transport) *shard {
	return &shard{t: t, wake: make(chan struct{}, 1)}
}

// enqueue hands s to the writer. It reports false after close.
func (sh *shard) enqueue(s *send) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return false
	}
	sh.outbox.push(s)
	sh.signal()
	return true
}

func (sh *shard) signal() {
	select {
	case sh.wake <- struct{}{}:
	default:
	}
}

// run opens a channel for every connection, and after every loss, until the transport closes.
func (sh *shard) run() {
	defer sh.close()
	b := newBackoff(sh.t.settings.pace)
	for {
		ses, err := sh.t.publish.session(sh.t.ctx)
		if err != nil {
			return
		}
		err = sh.serve(ses)
		if sh.t.ctx.Err() != nil {
			return
		}
		sh.t.logger.Debug("a publishing channel was lost", "error", err)
		if ses.conn.IsClosed() {
			// The next connection has a pace of its own.
			<-ses.lost
			b.reset()
			continue
		}
		if sh.progressed() {
			b.reset()
		}
		if !b.wait(sh.t.ctx) {
			return
		}
	}
}

// serve publishes on one channel until it is lost.
func (sh *shard) serve(ses *session) error {
	channel, err := ses.channel(sh.t.ctx)
	if err != nil {
		return err
	}
	// A goroutine of the client library hands returns over before the confirm that follows them; with room for the
	// whole window it never has to wait.
	returns := channel.NotifyReturn(make(chan amqp.Return, cap(sh.t.window)+1))
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	if err := channel.Confirm(false); err != nil {
		return err
	}
	sh.mu.Lock()
	sh.channel, sh.returns, sh.progress = channel, returns, false
	sh.mu.Unlock()

	written := make(chan *send, cap(sh.t.window)+1)
	var confirms sync.WaitGroup
	confirms.Go(func() {
		for s := range written {
			<-s.confirm.Done()
			sh.confirmed(s)
		}
	})
	cause := sh.write(ses, channel, closed, written)
	close(written)
	confirms.Wait()
	if ses.conn.IsClosed() {
		sh.lose(cause, false)
	} else {
		sh.lose(cause, serverCode(cause) != 0)
	}
	return cause
}

// write sends what is in the outbox until the channel is lost, and returns why it was.
func (sh *shard) write(ses *session, channel *amqp.Channel, closed <-chan *amqp.Error, written chan<- *send) error {
	why := func(e *amqp.Error) error {
		if e != nil {
			return e
		}
		return amqp.ErrClosed
	}
	for {
		s := sh.next(ses)
		if s == nil {
			select {
			case <-sh.wake:
			case e := <-closed:
				return why(e)
			}
			continue
		}
		if err := sh.t.prepare(ses, s); err != nil {
			if errors.Is(err, errSessionLost) {
				return why(<-closed)
			}
			sh.fail(s, err)
			continue
		}
		if !sh.take(s) {
			continue
		}
		confirm, err := channel.PublishWithDeferredConfirm(s.exchange, s.key, s.returnable, false, s.publishing)
		if err != nil {
			sh.unwritten(s, err)
			return why(<-closed)
		}
		sh.mu.Lock()
		sh.writing, s.confirm = nil, confirm
		sh.inflight.push(s)
		sh.mu.Unlock()
		written <- s
	}
}

// unwritten takes s back after a write that failed, which also ends the channel.
func (sh *shard) unwritten(s *send, err error) {
	var answers []answer
	sh.mu.Lock()
	sh.writing = nil
	// ErrClosed comes before the first byte; any other error may come after the last.
	s.suspect = s.suspect || !errors.Is(err, amqp.ErrClosed)
	if s.answered {
		answers = sh.finish(s, nil)
	} else {
		sh.outbox.prepend([]*send{s})
	}
	sh.mu.Unlock()
	deliver(answers)
}

// next is the head of the outbox, or nil when nothing may be written now.
func (sh *shard) next(ses *session) *send {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if ses.blocked.Load() || (sh.alone > 0 && sh.inflight.len() > 0) {
		return nil
	}
	return sh.outbox.head()
}

// take moves s from the outbox to the writer, unless its time has ended meanwhile.
func (sh *shard) take(s *send) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.outbox.head() != s {
		return false
	}
	sh.outbox.pop()
	sh.writing = s
	return true
}

// fail ends s, which was not written on this channel.
func (sh *shard) fail(s *send, err error) {
	sh.mu.Lock()
	if sh.outbox.head() != s {
		sh.mu.Unlock()
		return
	}
	sh.outbox.pop()
	switch {
	case s.suspect:
		err = fmt.Errorf("%w: %w", transport.ErrUnknown, err)
	case !s.mandatory && errors.Is(err, transport.ErrUnroutable):
		err = nil
	}
	a := sh.finish(s, err)
	sh.mu.Unlock()
	deliver(a)
}

// finish gives the place in the window back and decides the answer, if none was given. The caller holds the lock.
func (sh *shard) finish(s *send, err error) []answer {
	if s.finished {
		return nil
	}
	s.finished = true
	<-sh.t.window
	if sh.alone > 0 && s.suspect {
		sh.alone--
	}
	sh.signal()
	if s.answered {
		return nil
	}
	s.answered = true
	return []answer{{s.done, err}}
}

func deliver(answers []answer) {
	for _, a := range answers {
		a.done(a.err)
	}
}

// confirmed takes the broker's answer to s, if it has not been taken already.
func (sh *shard) confirmed(s *send) {
	sh.mu.Lock()
	a := sh.settle(s)
	sh.mu.Unlock()
	deliver(a)
}

// settle reads the confirm of s, which is there. The caller holds the lock.
//
// The client library answers every open confirm with a refusal when the channel ends. It marks the channel as closed
// before that, so a refusal on an open channel is the broker's own.
func (sh *shard) settle(s *send) []answer {
	if s.finished {
		return nil
	}
	acked := s.confirm.Acked()
	if !acked && sh.channel.IsClosed() {
		return nil
	}
	sh.progress = true
	sh.attribute()
	sh.inflight.remove(s)
	switch {
	case !acked:
		return sh.finish(s, transport.ErrNacked)
	case s.returned == "":
		return sh.finish(s, nil)
	case !s.answered && (s.target != "" || sh.t.topology.knows(s.topic)) && sh.repairable(s):
		sh.t.lookAgain(s)
		s.returned, s.confirm = "", nil
		sh.outbox.prepend([]*send{s})
		sh.signal()
		return nil
	default:
		return sh.finish(s, sh.unroutable(s))
	}
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
		return s != nil && s.returnable && s.returned == "" && s.publishing.MessageId == r.MessageId &&
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

// lose takes back what was under way on a channel that has ended, to be sent again in the same order. refused says
// that the broker closed this channel for what one of its messages asked for; the connection still stands.
func (sh *shard) lose(cause error, refused bool) {
	var answers []answer
	sh.mu.Lock()
	sh.attribute()
	under := slices.Clone(sh.inflight.items())
	var again []*send
	for _, s := range under {
		switch {
		case s.answered:
			answers = append(answers, sh.finish(s, nil)...)
		case s.returned != "":
			answers = append(answers, sh.finish(s, sh.unroutable(s))...)
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
			answers = append(answers, sh.finish(again[0], sh.refusal(again[0], cause))...)
			again = nil
		}
		for _, s := range again {
			if missing {
				sh.t.lookAgain(s)
			}
		}
		sh.alone = len(again)
	}
	sh.outbox.prepend(again)
	sh.mu.Unlock()
	deliver(answers)
}

// repairable reports whether the exchange of s, a binding or the ladder, which somebody has deleted, is declared once more.
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
	case amqp.NotFound, amqp.AccessRefused:
		return topologyError("exchange", s.exchange, cause)
	default:
		return fmt.Errorf("%w: %w", transport.ErrNacked, cause)
	}
}

// expire answers the sends whose time is over, and takes confirms that came while an older one is still missing.
func (sh *shard) expire(now time.Time) {
	var answers []answer
	sh.mu.Lock()
	blocked := errors.Is(sh.t.publish.state(), transport.ErrBlocked)
	over := func(s *send) error {
		if !s.deadline.IsZero() && now.After(s.deadline) {
			return context.DeadlineExceeded
		}
		return nil
	}
	for _, s := range slices.Clone(sh.outbox.items()) {
		cause := over(s)
		if cause == nil && s.life.Err() != nil {
			cause = context.Cause(s.life)
		}
		if cause == nil {
			continue
		}
		sh.outbox.remove(s)
		err := sh.t.congestion(cause)
		if s.suspect {
			err = sh.t.uncertainty(cause)
		}
		answers = append(answers, sh.finish(s, err)...)
	}
	for _, s := range slices.Clone(sh.inflight.items()) {
		if isDone(s.confirm) {
			answers = append(answers, sh.settle(s)...)
		}
	}
	for _, s := range append(slices.Clone(sh.inflight.items()), sh.writing) {
		if s == nil || s.answered {
			continue
		}
		cause := over(s)
		if cause == nil && blocked && s.life.Err() != nil {
			cause = context.Cause(s.life)
		}
		if cause != nil {
			// Its place in the window stays taken until the broker answers or the channel ends.
			s.answered = true
			answers = append(answers, answer{s.done, sh.t.uncertainty(cause)})
		}
	}
	sh.mu.Unlock()
	deliver(answers)
}

func isDone(c *amqp.DeferredConfirmation) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

func (sh *shard) progressed() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.progress
}

// idle reports whether nothing is written and unconfirmed.
func (sh *shard) idle() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.writing == nil && sh.inflight.len() == 0
}

// close answers everything that is left.
func (sh *shard) close() {
	var answers []answer
	sh.mu.Lock()
	sh.closed = true
	for _, s := range slices.Clone(sh.outbox.items()) {
		err := transport.ErrClosed
		if s.suspect {
			err = fmt.Errorf("%w: %w", transport.ErrUnknown, transport.ErrClosed)
		}
		answers = append(answers, sh.finish(s, err)...)
	}
	sh.outbox = queue{}
	sh.mu.Unlock()
	deliver(answers)
}
