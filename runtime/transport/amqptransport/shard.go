package amqptransport

import (
	"errors"
	"fmt"
	"runtime"
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
	t      *Transport
	number int
	wake   chan struct{}
	// flight tells that something was written while nothing was under way.
	flight chan struct{}

	mu       sync.Mutex
	closed   bool
	places   uint64
	outbox   queue // not written, or to be written again
	writing  *send // inside the client library
	inflight queue // written, in the order of their confirms
	// alone is how many sends at the head of the outbox go one by one, because one of them made the broker close the
	// channel.
	alone   int
	ses     *session
	channel *amqp.Channel
	// given is closed, and nil from then on, when the channel is given up, whatever the broker still has to say on it.
	given   chan struct{}
	returns chan amqp.Return
	// heard is when the oldest send in flight was last another one, and patience how long it may remain the same.
	heard    time.Time
	patience time.Duration
	// spent tells that the channel was given up for its refusals, and distrusted when a channel last was.
	spent      bool
	distrusted time.Time
	// progress tells that the broker has answered at least one send of this channel.
	progress bool
}

func newShard(t *Transport, number int) *shard {
	return &shard{
		t: t, number: number, wake: make(chan struct{}, 1), flight: make(chan struct{}, 1),
		patience: silences * t.settings.heartbeat,
	}
}

// enqueue hands s to the writer. It reports false after close.
func (sh *shard) enqueue(s *send) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return false
	}
	sh.places++
	s.place = sh.places
	sh.outbox.push(s)
	if sh.outbox.len() == 1 {
		sh.signal()
	}
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
	returns := channel.NotifyReturn(make(chan amqp.Return, sh.t.settings.window+1))
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	if err := channel.Confirm(false); err != nil {
		return err
	}
	sh.mu.Lock()
	given := make(chan struct{})
	sh.ses = ses
	sh.channel, sh.given, sh.returns, sh.progress, sh.spent = channel, given, returns, false, false
	sh.mu.Unlock()

	over := make(chan struct{})
	var confirms sync.WaitGroup
	confirms.Go(func() { sh.collect(over, given) })
	cause := sh.write(ses, channel, closed, given)
	close(over)
	confirms.Wait()
	if errors.Is(cause, errGivenUp) {
		// It returns when the broker has agreed, or the connection is over, and nothing has to wait for either.
		sh.t.work.Go(func() { _ = channel.Close() })
	}
	if ses.conn.IsClosed() {
		sh.lose(cause, false)
	} else {
		sh.lose(cause, serverCode(cause) != 0)
	}
	return cause
}

// write sends what is in the outbox until the channel is lost, and returns why it was. What is there at once goes out
// together.
func (sh *shard) write(ses *session, channel *amqp.Channel, closed <-chan *amqp.Error, given <-chan struct{}) error {
	holding, yielded := false, false
	letGo := func() {
		if holding {
			ses.stream.release()
			holding = false
		}
	}
	defer letGo()
	for {
		if sh.exhausted() {
			return errGivenUp
		}
		s, prepared := sh.next(ses)
		if s == nil {
			if holding && !yielded {
				// Callers that are about to send get their chance, and what they send goes out with the rest.
				runtime.Gosched()
				yielded = true
				continue
			}
			letGo()
			select {
			case <-sh.wake:
			case <-given:
				return errGivenUp
			case e := <-closed:
				return endOf(e)
			}
			continue
		}
		yielded = false
		if !prepared {
			letGo()
			if err := sh.provide(ses, s, closed, given); err != nil {
				return err
			}
			continue
		}
		if !holding {
			ses.stream.hold()
			holding = true
		}
		confirm, err := ses.stream.publish(channel, sh.number, s)
		if err != nil {
			sh.unwritten(s, err)
			return endOf(<-closed)
		}
		sh.wrote(s, confirm)
	}
}

// next takes the head of the outbox to write it. It is nil when nothing may be written now, and stays in the outbox when
// something must be prepared for it first, since its time may end meanwhile.
func (sh *shard) next(ses *session) (s *send, prepared bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if ses.blocked.Load() || sh.spent || (sh.alone > 0 && sh.inflight.len() > 0) {
		return nil, false
	}
	s = sh.outbox.head()
	if s == nil || !sh.t.prepared(ses, s) {
		return s, false
	}
	sh.outbox.pop()
	sh.writing = s
	return s, true
}

// wrote puts s in flight.
func (sh *shard) wrote(s *send, confirm *amqp.DeferredConfirmation) {
	sh.mu.Lock()
	sh.writing, s.confirm = nil, confirm
	sh.inflight.push(s)
	first := sh.inflight.len() == 1
	if first {
		sh.listen()
	}
	sh.mu.Unlock()
	if first {
		select {
		case sh.flight <- struct{}{}:
		default:
		}
	}
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
	var out answers
	sh.finish(&out, s, err)
	sh.mu.Unlock()
	sh.deliver(&out)
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
	var out answers
	sh.mu.Lock()
	sh.closed = true
	for _, s := range sh.outbox.items() {
		err := transport.ErrClosed
		if s.suspect {
			err = fmt.Errorf("%w: %w", transport.ErrUnknown, transport.ErrClosed)
		}
		sh.finish(&out, s, err)
	}
	sh.outbox = queue{}
	sh.mu.Unlock()
	sh.deliver(&out)
}
