package transport

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// publishTimeout bounds a plain Publish whose messages carry no deadline, so that a broker that never answers
// cannot hold its caller for ever. It is the runtime's default for a send.
const publishTimeout = 30 * time.Second

// NewPublisher makes a Watermill publisher of a [Sender].
//
// Publish hands its messages over in order and returns when all of them have resolved. Each message's context
// bounds the hand-over, and its deadline (30 s when it has none) the whole send. The routing key is the message's
// ce-type and the ordering key its ce-partitionkey. Errors are joined, and each names the index of its message; after
// a message that could not be handed over the later ones are not tried. Publishing where nobody listens is no error.
//
// Close makes later calls of Publish fail with [ErrClosed]. It is idempotent and does not close the sender. The
// publisher may be used from many goroutines at once.
func NewPublisher(s Sender) message.Publisher { return &publisher{sender: s} }

type publisher struct {
	sender Sender
	closed atomic.Bool
}

// Publish sends messages to topic and waits for all of them.
func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	if p.closed.Load() {
		return fmt.Errorf("publish to %q: the publisher is %w", topic, ErrClosed)
	}
	if topic == "" {
		return errors.New("publish: the topic is empty; name the topic to publish to")
	}
	for i, msg := range messages {
		if msg == nil {
			return fmt.Errorf("publish to %q: message %d is nil", topic, i)
		}
	}
	var batch batch
	for i, msg := range messages {
		ctx := msg.Context()
		deadline, bounded := ctx.Deadline()
		if !bounded {
			deadline = time.Now().Add(publishTimeout)
		}
		batch.add()
		err := p.sender.Send(ctx, Publication{
			Topic:      topic,
			RoutingKey: msg.Metadata.Get(MetaType),
			Key:        msg.Metadata.Get(MetaKey),
			Deadline:   deadline,
		}, msg, func(err error) { batch.resolve(i, err) })
		if err != nil {
			batch.resolve(i, err)
			break
		}
	}
	if err := batch.wait(); err != nil {
		return fmt.Errorf("publish to %q: %w", topic, err)
	}
	return nil
}

// Close makes later calls of Publish fail.
func (p *publisher) Close() error {
	p.closed.Store(true)
	return nil
}

// batch collects the outcomes of one Publish.
type batch struct {
	mu   sync.Mutex
	open int
	errs []error
	last chan struct{} // made by a wait that has to wait, closed when nothing is open
}

func (b *batch) add() {
	b.mu.Lock()
	b.open++
	b.mu.Unlock()
}

func (b *batch) resolve(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("message %d: %w", i, err))
	}
	b.open--
	if b.open == 0 && b.last != nil {
		close(b.last)
	}
}

func (b *batch) wait() error {
	b.mu.Lock()
	if b.open > 0 {
		b.last = make(chan struct{})
		b.mu.Unlock()
		<-b.last
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	return errors.Join(b.errs...)
}
