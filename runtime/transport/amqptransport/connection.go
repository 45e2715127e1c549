package amqptransport

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

const closeTimeout = 2 * time.Second

// session is one connection, from its handshake to its loss.
type session struct {
	conn    *amqp.Connection
	stream  *stream
	began   time.Time
	blocked atomic.Bool
	// useful: the broker took a message on this connection, or handed one out, or made what messages of the other one needed.
	useful atomic.Bool
	// lost is closed when the connection has ended; cause is set before that.
	lost  chan struct{}
	cause error
	// ensured holds the exchanges and targets that were declared, or verified, since this connection came up.
	ensured sync.Map
}

func newSession(conn *amqp.Connection, stream *stream) *session {
	return &session{conn: conn, stream: stream, began: time.Now(), lost: make(chan struct{})}
}

// watch follows the state of the connection until it ends. changed is called when the broker blocks or unblocks it.
func (s *session) watch(changed func()) {
	closed := s.conn.NotifyClose(make(chan *amqp.Error, 1))
	blocked := s.conn.NotifyBlocked(make(chan amqp.Blocking, 8))
	for {
		select {
		case b, open := <-blocked:
			if !open {
				blocked = nil
				continue
			}
			s.blocked.Store(b.Active)
			changed()
		case err := <-closed:
			s.cause = errors.New("the connection was closed")
			if err != nil {
				s.cause = err
			}
			// The broker may have ended the connection while a writer is still stuck in it.
			s.stream.cut()
			close(s.lost)
			return
		}
	}
}

// over reports whether the connection has been lost.
func (s *session) over() bool {
	select {
	case <-s.lost:
		return true
	default:
		return false
	}
}

// steadyTime is how long a connection must have stood for its loss to be a first one.
const steadyTime = 5 * time.Second

// steady reports whether the connection, which is over, has been good for something. Whoever accepts and hangs up is left alone
// for longer and longer.
func (s *session) steady() bool { return s.useful.Load() || time.Since(s.began) >= steadyTime }

// condemned reports whether the broker ended the connection for what was asked on it. It would do the same to the next.
// The connection is over.
func (s *session) condemned() bool {
	code := serverCode(s.cause)
	return code != 0 && code != amqp.ConnectionForced && code != amqp.InternalError
}

// patience is how long the broker may leave a question without an answer.
func (s *session) patience() time.Duration {
	return silences * cmp.Or(s.conn.Config.Heartbeat, defaultHeartbeat)
}

// channel opens a channel. It returns when the connection is lost, or ctx has ended. A broker that leaves even this without
// an answer reads nothing more from the connection, whatever its heartbeats say: it is cut, and the next one may reach
// another node. A blocked connection is left alone.
func (s *session) channel(ctx context.Context) (*amqp.Channel, error) {
	type opened struct {
		channel *amqp.Channel
		err     error
	}
	answer := make(chan opened, 1)
	go func() {
		channel, err := s.conn.Channel()
		answer <- opened{channel, err}
	}()
	patience := time.AfterFunc(s.patience(), func() {
		if !s.blocked.Load() {
			s.stream.cut()
		}
	})
	defer patience.Stop()
	select {
	case o := <-answer:
		return o.channel, o.err
	case <-ctx.Done():
		go func() {
			if late := <-answer; late.err == nil {
				_ = late.channel.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// close ends the connection: with a handshake where the peer can be expected to answer, by cutting it otherwise.
func (s *session) close(ctx context.Context) {
	if !s.blocked.Load() && ctx.Err() == nil {
		stop := context.AfterFunc(ctx, s.stream.cut)
		_ = s.conn.CloseDeadline(time.Now().Add(closeTimeout))
		stop()
	}
	s.stream.cut()
	<-s.lost
}

// link keeps one connection up for as long as the transport lives.
type link struct {
	role    string
	desks   int // how many publish
	dialer  *dialer
	pace    pace
	logger  *slog.Logger
	changed func()

	mu      sync.Mutex
	current *session
	err     error
	next    chan struct{}
}

func newLink(role string, d *dialer, desks int, p pace, logger *slog.Logger) *link {
	return &link{role: role, desks: desks, dialer: d, pace: p, logger: logger, changed: func() {}, next: make(chan struct{})}
}

// connect opens the first connection.
func (l *link) connect(ctx context.Context) error {
	s, err := l.dialer.connect(ctx, l.role, l.desks)
	if err != nil {
		return err
	}
	l.set(s, nil)
	return nil
}

func (l *link) set(s *session, err error) {
	l.mu.Lock()
	l.current, l.err = s, err
	close(l.next)
	l.next = make(chan struct{})
	l.mu.Unlock()
}

// run watches the connection and replaces it, until ctx ends; then it closes the connection, for which closing bounds
// the time.
func (l *link) run(ctx context.Context, closing func() context.Context) {
	b := newBackoff(l.pace)
	for {
		l.mu.Lock()
		s := l.current
		l.mu.Unlock()
		var watcher sync.WaitGroup
		watcher.Go(func() { s.watch(l.changed) })
		select {
		case <-s.lost:
		case <-ctx.Done():
			s.close(closing())
		}
		watcher.Wait()
		l.set(nil, s.cause)
		l.changed()
		if ctx.Err() != nil {
			return
		}
		l.logger.Warn("the connection to RabbitMQ was lost", "role", l.role, "error", s.cause)
		if s.steady() {
			b.reset()
		} else if serverCode(s.cause) == 0 {
			b.calm()
		}
		began := time.Now()
		if !l.reconnect(ctx, &b) {
			return
		}
		l.logger.Info("the connection to RabbitMQ is back", "role", l.role, "after", time.Since(began))
	}
}

// reconnect tries until there is a connection. It reports false when ctx has ended before.
func (l *link) reconnect(ctx context.Context, b *backoff) bool {
	for b.wait(ctx) {
		fresh, err := l.dialer.connect(ctx, l.role, l.desks)
		if err == nil {
			l.set(fresh, nil)
			return true
		}
		if gone := new(absence); errors.As(err, &gone) {
			b.calm()
		}
		l.set(nil, err)
	}
	return false
}

// session waits for a connection that is not known to be lost.
func (l *link) session(ctx context.Context) (*session, error) {
	for {
		l.mu.Lock()
		s, next := l.current, l.next
		l.mu.Unlock()
		if s != nil && !s.over() {
			return s, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// state is nil when messages can flow.
func (l *link) state() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.current == nil && l.err != nil:
		return l.err
	case l.current == nil:
		return errors.New("not connected")
	case l.current.blocked.Load():
		return transport.ErrBlocked
	default:
		return nil
	}
}
