package transporttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// patience is how long the suite waits for what must happen; hush for what must not.
const (
	patience = 10 * time.Second
	hush     = 150 * time.Millisecond
)

// Harness opens the transports under test.
type Harness struct {
	// Open returns a new transport. All transports of one Run reach the same broker, unless Single is set. The
	// suite closes what it opens.
	Open func(t *testing.T) transport.Transport
	// Single says that every transport is a broker of its own: sender and receiver then share one.
	Single bool
	// OpenBounded returns a transport, of a broker of its own, whose queues take capacity messages and make Send
	// wait when they are full. Nil where a full queue behaves in another way.
	OpenBounded func(t *testing.T, capacity int) transport.Transport
	// Proven, if set, is called once the whole suite has run without a failure, with what it has proven: each ability that the
	// transport claims, and [transport.None] for the others, which it was seen to refuse where they can be asked for.
	Proven func(t *testing.T, abilities []transport.Feature)
}

// Run runs the whole suite, its parts in parallel.
func Run(t *testing.T, h Harness) {
	t.Helper()
	var passed record
	t.Cleanup(func() { passed.report(t, h) })
	for _, part := range []struct {
		name  string
		tests []test
	}{
		{"delivery", delivery},
		{"groups", groups},
		{"ordering", ordering},
		{"send", send},
		{"metadata", metadata},
		{"lifecycle", lifecycle},
		{"capability", capability},
		{"watermill", pair},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range part.tests {
				t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
					t.Parallel()
					s := newStage(t, h)
					test.run(t, s)
					passed.add(t, test.name, s.can)
				})
			}
		})
	}
}

// test is one case; its name is a sentence.
type test struct {
	name string
	run  func(t *testing.T, s *stage)
}

// stage is what one test works on: a topic of its own, a transport that sends and one that receives.
type stage struct {
	harness  Harness
	topic    string
	sender   transport.Transport
	receiver transport.Transport
	can      transport.Capabilities
	sent     atomic.Int64
}

func newStage(t *testing.T, h Harness) *stage {
	t.Helper()
	s := &stage{harness: h, topic: "conformance." + strings.ToLower(rand.Text()[:12])}
	s.receiver = s.open(t)
	s.sender = s.receiver
	if !h.Single {
		s.sender = s.open(t)
	}
	s.can = s.receiver.Capabilities()
	return s
}

func (s *stage) open(t *testing.T) transport.Transport {
	t.Helper()
	return closing(t, s.harness.Open(t))
}

// another opens one more receiver, or returns the only one there is.
func (s *stage) another(t *testing.T) transport.Transport {
	t.Helper()
	if s.harness.Single {
		return s.receiver
	}
	return s.open(t)
}

func closing(t *testing.T, tr transport.Transport) transport.Transport {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Errorf("close the transport: %v", err)
		}
	})
	return tr
}

// event describes a subscription of a group to the stage's topic with up to n deliveries in flight.
func (s *stage) event(group string, n int) transport.Subscription {
	return transport.Subscription{Topic: s.topic, Group: group, Kind: transport.KindEvent, Concurrency: n}
}

// declare makes the queue of a group before it has a consumer.
func (s *stage) declare(t *testing.T, sub transport.Subscription) {
	t.Helper()
	d, ok := transport.ConsumerOf(s.receiver).(transport.Declarer)
	if !ok {
		t.Fatal("a transport with standing groups must be a transport.Declarer")
	}
	if err := d.Declare(t.Context(), sub); err != nil {
		t.Fatalf("declare %q: %v", sub.Queue(), err)
	}
}

// message makes a message with a payload that is unique in the stage.
func (s *stage) message() *message.Message {
	n := s.sent.Add(1)
	id := fmt.Sprintf("%s-%d", s.topic, n)
	return message.NewMessage(id, []byte(id))
}

// start hands a message over and returns where its outcome arrives.
func (s *stage) start(t *testing.T, p transport.Publication, msg *message.Message) <-chan error {
	t.Helper()
	if p.Topic == "" {
		p.Topic = s.topic
	}
	if p.Deadline.IsZero() {
		p.Deadline = time.Now().Add(patience)
	}
	outcome := make(chan error, 2)
	if err := transport.SenderOf(s.sender).Send(t.Context(), p, msg, func(err error) { outcome <- err }); err != nil {
		outcome <- err
	}
	return outcome
}

// outcome waits for the end of a send.
func outcome(t *testing.T, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(patience + time.Second):
		t.Fatal("the send did not resolve by its deadline")
		return nil
	}
}

// send sends one message and fails the test if it is not taken.
func (s *stage) send(t *testing.T, p transport.Publication) *message.Message {
	t.Helper()
	msg := s.message()
	if err := outcome(t, s.start(t, p, msg)); err != nil {
		t.Fatalf("send to %q: %v", p.Topic, err)
	}
	return msg
}

// sendMany sends n messages without waiting for each.
func (s *stage) sendMany(t *testing.T, n int, p transport.Publication) []string {
	t.Helper()
	ids := make([]string, n)
	outcomes := make([]<-chan error, n)
	for i := range n {
		msg := s.message()
		ids[i] = msg.UUID
		outcomes[i] = s.start(t, p, msg)
	}
	for i, c := range outcomes {
		if err := outcome(t, c); err != nil {
			t.Fatalf("send %d of %d: %v", i, n, err)
		}
	}
	return ids
}

// unsupported fails the test unless err is a clear refusal.
func unsupported(t *testing.T, what string, err error) {
	t.Helper()
	wantError(t, what, err, transport.ErrUnsupported)
}
