package asynctest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	async "github.com/asyncpb/async/runtime"
)

// Publication is one message that the broker has stored: an event, a command or a request. An event that nobody had
// subscribed to is one as well.
type Publication struct {
	// RPC is "<service>/<method>".
	RPC string
	// ID is the message id; Key the ordering key, "" if none.
	ID, Key string
	// Topic is the physical topic.
	Topic string
	// Headers are the user's headers.
	Headers async.Headers
	// Message is a copy of the message.
	Message proto.Message
}

// Attempt is one call of a handler that has returned.
type Attempt struct {
	// RPC is "<service>/<method>"; Group is the group that handled it.
	RPC, Group string
	// ID is the message id; Number counts the attempts for this message in this group, from 1.
	ID     string
	Number int
	// Message is a copy of the message, made before the handler saw it.
	Message proto.Message
	// Reply is the reply to a request, nil if there is none.
	Reply proto.Message
	// Verdict is what the handler returned, [ErrNoReturn] if it panicked. For a batch handler and a delivery that was
	// settled by hand it is nil when the message was acknowledged, and else the text of the dead letter or
	// [ErrTriedAgain].
	Verdict error
}

// Verdicts that no handler returned.
var (
	// ErrNoReturn is the verdict of a handler that panicked or ended its goroutine.
	ErrNoReturn = errors.New("the handler did not return")
	// ErrTriedAgain is the verdict on a message of a batch, or one settled by hand, that is tried again.
	ErrTriedAgain = errors.New("the message is tried again")
)

// journal remembers what happened.
type journal struct {
	mu        sync.Mutex
	published []Publication
	attempts  []Attempt
	dead      []DeadLetter
	inputs    map[string]func() proto.Message // by CloudEvents type
	rpcs      map[string]string               // by physical topic
	open      map[string]*delivery            // by number
	numbers   int                             // deliveries so far
	repeats   map[string]bool                 // what was given back after it was handled, to come again
	changed   chan struct{}                   // closed at the next change
}

func newJournal() *journal {
	return &journal{
		inputs:  make(map[string]func() proto.Message),
		rpcs:    make(map[string]string),
		open:    make(map[string]*delivery),
		repeats: make(map[string]bool),
		changed: make(chan struct{}),
	}
}

// change lets f change the journal and tells those who wait for that.
func (j *journal) change(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
	close(j.changed)
	j.changed = make(chan struct{})
}

// next is closed at the next change.
func (j *journal) next() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// learn remembers how messages of spec are decoded. The lock is held.
func (j *journal) learn(spec *async.Spec, topic string) {
	j.rpcs[topic] = spec.Name()
	j.inputs[spec.Type] = spec.Input
	for _, alias := range spec.TypeAliases {
		j.inputs[alias] = spec.Input
	}
}

// watchSend lists what is stored.
func (j *journal) watchSend(next async.SendFunc) async.SendFunc {
	return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
		p := Publication{
			RPC: out.Spec.Name(), ID: out.ID, Key: out.Key, Topic: out.Topic,
			Headers: copyHeaders(out.Headers), Message: proto.Clone(out.Message),
		}
		j.change(func() { j.learn(out.Spec, out.Topic) })
		receipt := next(ctx, out)
		receipt.Then(func(err error) {
			if err == nil {
				j.change(func() { j.published = append(j.published, p) })
			}
		})
		return receipt
	}
}

func copyHeaders(h async.Headers) async.Headers {
	c := maps.Clone(h)
	for name, values := range c {
		c[name] = slices.Clone(values)
	}
	return c
}

// watchHandler lists the calls of handlers.
func (j *journal) watchHandler(next async.HandleFunc) async.HandleFunc {
	return func(ctx context.Context, in *async.Incoming) (reply proto.Message, verdict error) {
		a := Attempt{
			RPC: in.Spec.Name(), Group: in.Info.Group, ID: in.Info.ID, Number: in.Info.Attempt,
			Message: proto.Clone(in.Message), Verdict: ErrNoReturn,
		}
		j.change(func() {
			j.learn(in.Spec, in.Info.Topic)
			if d := j.open[in.Metadata[metaDelivery]]; d != nil {
				d.seen = true
			}
		})
		defer func() { j.change(func() { j.attempts = append(j.attempts, a) }) }()
		reply, verdict = next(ctx, in)
		a.Verdict = verdict
		if reply != nil {
			a.Reply = proto.Clone(reply)
		}
		return reply, verdict
	}
}
