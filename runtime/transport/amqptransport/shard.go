package amqptransport

import (
	"errors"
	"fmt"
	"slices"
	"sync"

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

	written := make(chan publication, cap(sh.t.window)+1)
	var confirms sync.WaitGroup
	confirms.Go(func() {
		for p := range written {
			<-p.confirm.Done()
			sh.confirmed(p)
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
func (sh *shard) write(ses *session, channel *amqp.Channel, closed <-chan *amqp.Error, written chan<- publication) error {
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
		confirm, err := channel.PublishWithDeferredConfirm(s.exchange, s.key, s.mandatory || s.expected, false, s.publishing)
		if err != nil {
			sh.unwritten(s, err)
			return why(<-closed)
		}
		sh.mu.Lock()
		sh.writing, s.confirm = nil, confirm
		sh.inflight.push(s)
		sh.mu.Unlock()
		written <- publication{s, confirm}
	}
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

// publication is one writing of a send, which may be written again.
type publication struct {
	send    *send
	confirm *amqp.DeferredConfirmation
}

// confirmed takes the broker's answer to p, if it has not been taken already.
func (sh *shard) confirmed(p publication) {
	var answers []answer
	sh.mu.Lock()
	if p.send.confirm == p.confirm {
		answers = sh.settle(p.send)
	}
	sh.mu.Unlock()
	deliver(answers)
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
	case !s.answered && s.expected && sh.repairable(s):
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
		return s != nil && (s.mandatory || s.expected) && s.returned == "" && s.publishing.MessageId == r.MessageId &&
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
