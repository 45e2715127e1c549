package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// pairWindow is how many calls of a blocking Publish run at once.
const pairWindow = 64

// pairSender is a Sender over a Watermill publisher.
type pairSender struct {
	publisher    message.Publisher
	capabilities Capabilities
	window       chan struct{}
	closing      chan struct{}

	mu     sync.Mutex
	closed bool
	open   map[*pairSend]struct{}
	// keys holds, for each key with a Publish under way, what has to follow it.
	keys map[string][]*pairSend
	idle chan struct{} // set by close, closed when open is empty
}

func newPairSender(p message.Publisher, c Capabilities) *pairSender {
	return &pairSender{
		publisher:    p,
		capabilities: c,
		window:       make(chan struct{}, pairWindow),
		closing:      make(chan struct{}),
		open:         make(map[*pairSend]struct{}),
		keys:         make(map[string][]*pairSend),
	}
}

// pairSend is one send that has a place in the window.
type pairSend struct {
	topic  string
	key    string
	msg    *message.Message
	cancel context.CancelFunc
	timer  *time.Timer
	once   sync.Once
	done   func(error)
}

// resolve calls done the first time it is called.
func (p *pairSend) resolve(err error) { p.once.Do(func() { p.done(err) }) }

// Send publishes from a goroutine of its own, behind the sends with the same key.
func (s *pairSender) Send(ctx context.Context, p Publication, msg *message.Message, done func(error)) error {
	topic, err := pairTopic(s.capabilities, p)
	if err != nil {
		return err
	}
	if err := s.enter(ctx, p); err != nil {
		return err
	}
	// A Publish that outlives its deadline goes on reading, when the caller owns msg again.
	job := &pairSend{topic: topic, key: p.Key, msg: msg.Copy(), done: done}
	job.msg.Payload = bytes.Clone(msg.Payload)
	life := msg.Context()
	if p.Deadline.IsZero() {
		life, job.cancel = context.WithCancel(life)
	} else {
		life, job.cancel = context.WithDeadline(life, p.Deadline)
	}
	job.msg.SetContext(life)

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		job.cancel()
		<-s.window
		return fmt.Errorf("send to %q: %w", topic, ErrClosed)
	}
	s.open[job] = struct{}{}
	if !p.Deadline.IsZero() {
		job.timer = time.AfterFunc(time.Until(p.Deadline), func() {
			job.resolve(fmt.Errorf("send to %q: the deadline passed before the publisher answered: %w", topic, ErrUnknown))
		})
	}
	follow, busy := s.keys[p.Key]
	if p.Key != "" {
		if busy {
			s.keys[p.Key] = append(follow, job)
		} else {
			s.keys[p.Key] = nil
		}
	}
	s.mu.Unlock()
	if p.Key == "" || !busy {
		go s.run(job)
	}
	return nil
}

// enter takes a place in the window.
func (s *pairSender) enter(ctx context.Context, p Publication) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	select {
	case s.window <- struct{}{}:
		return nil
	default:
	}
	if p.NoWait {
		return fmt.Errorf("send to %q: %d sends wait already: %w", p.Topic, pairWindow, ErrBacklog)
	}
	var late <-chan time.Time
	if !p.Deadline.IsZero() {
		timer := time.NewTimer(time.Until(p.Deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case s.window <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("send to %q: %w: %w", p.Topic, ErrBlocked, context.Cause(ctx))
	case <-late:
		return fmt.Errorf("send to %q: the deadline passed while %d sends were waiting: %w", p.Topic, pairWindow, ErrBlocked)
	case <-s.closing:
		return fmt.Errorf("send to %q: %w", p.Topic, ErrClosed)
	}
}

// run publishes job and what follows it under its key.
func (s *pairSender) run(job *pairSend) {
	for job != nil {
		if job.msg.Context().Err() == nil {
			job.resolve(s.publisher.Publish(job.topic, job.msg))
		} else {
			job.resolve(fmt.Errorf("send to %q: %w: %w", job.topic, ErrBlocked, context.Cause(job.msg.Context())))
		}
		job.cancel()
		if job.timer != nil {
			job.timer.Stop()
		}
		job = s.leave(job)
	}
}

// leave gives up the job's place and returns the next job of its key.
func (s *pairSender) leave(job *pairSend) *pairSend {
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.window
	delete(s.open, job)
	if s.idle != nil && len(s.open) == 0 {
		close(s.idle)
	}
	if job.key == "" {
		return nil
	}
	follow := s.keys[job.key]
	if len(follow) == 0 {
		delete(s.keys, job.key)
		return nil
	}
	s.keys[job.key] = follow[1:]
	return follow[0]
}

// close refuses new sends and waits for the open ones; what is open when ctx ends resolves with ErrUnknown.
func (s *pairSender) close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	idle := make(chan struct{})
	s.idle = idle
	if len(s.open) == 0 {
		close(idle)
	}
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	open := make([]*pairSend, 0, len(s.open))
	for job := range s.open {
		open = append(open, job)
	}
	s.mu.Unlock()
	for _, job := range open {
		job.cancel()
		job.resolve(fmt.Errorf("send to %q: the transport was closed before the publisher answered: %w", job.topic, ErrUnknown))
	}
	return context.Cause(ctx)
}

// pairTopic is the topic that p is published to, or what the pair cannot do.
func pairTopic(c Capabilities, p Publication) (string, error) {
	refuse := func(what, ability string) error {
		return fmt.Errorf("send to %q: %s needs the ability %q, which the transport %s lacks: %w", p.Topic, what, ability, c.System, ErrUnsupported)
	}
	switch {
	case p.Topic == "":
		return "", errors.New("send: the topic is empty; name the topic to send to")
	case p.Delay > 0:
		// A Watermill publisher has no place for a delay, whatever its broker can do.
		return "", refuse("Publication.Delay", "delay")
	case p.Direct && c.Reply == None && c.DeadLetter == None:
		return "", refuse("Publication.Direct", "reply or dead letter")
	case p.Direct:
		return p.Topic, nil
	case p.Group != "" && c.Target == None:
		return "", refuse("Publication.Group", "target")
	case p.Group != "":
		return QueueName(p.Topic, p.Group), nil
	default:
		return p.Topic, nil
	}
}
