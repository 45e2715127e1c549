package transport_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
	"github.com/asyncpb/async/runtime/transport/transporttest"
)

// channelSubscriber leaves the gochannel open when one of its subscribers closes.
type channelSubscriber struct {
	message.Subscriber
	ctx    context.Context
	cancel context.CancelFunc
}

func (s channelSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	context.AfterFunc(ctx, s.cancel)
	return s.Subscriber.Subscribe(s.ctx, topic)
}

func (s channelSubscriber) Close() error {
	s.cancel()
	return nil
}

func wrapGochannel() transport.Transport {
	ch := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	return transport.Wrap(ch, func(transport.Subscription) (message.Subscriber, error) {
		ctx, cancel := context.WithCancel(context.Background())
		return channelSubscriber{ch, ctx, cancel}, nil
	})
}

func TestWrappedPairThatCanDoNothing(t *testing.T) {
	t.Parallel()
	transporttest.Run(t, transporttest.Harness{
		Open:   func(*testing.T) transport.Transport { return wrapGochannel() },
		Single: true,
	})
}

func TestWrappedPairThatCanDoMuch(t *testing.T) {
	t.Parallel()
	broker := memorytransport.NewBroker()
	transporttest.Run(t, transporttest.Harness{
		Open: func(*testing.T) transport.Transport {
			inner := broker.Open()
			return transport.Wrap(inner.Publisher(), func(s transport.Subscription) (message.Subscriber, error) {
				if s.Kind == transport.KindReply {
					// A plain pair knows topics only, so that a reply address is one with a single group.
					s.Kind, s.Group = transport.KindEvent, "inbox"
				}
				return inner.Subscriber(s)
			},
				transport.WithCapabilities(transport.Capabilities{
					System:         "wrapped_memory",
					Groups:         transport.Native,
					StandingGroups: transport.Native,
					Redelivery:     transport.Emulated,
					Target:         transport.Native,
					Order:          transport.Native,
					Broadcast:      transport.Native,
					Reply:          transport.Emulated,
					DeadLetter:     transport.Emulated,
				}),
				transport.WithCloseFunc(inner.Close))
		},
	})
}

// stubborn is a publisher whose Publish waits for release, whatever its message's context does.
type stubborn struct {
	release chan struct{}

	mu        sync.Mutex
	published []string
}

func (p *stubborn) Publish(_ string, messages ...*message.Message) error {
	<-p.release
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, msg := range messages {
		p.published = append(p.published, msg.UUID)
	}
	return nil
}

func (*stubborn) Close() error { return nil }

func noSubscriber(transport.Subscription) (message.Subscriber, error) {
	return nil, errors.New("not needed")
}

func TestSendOutlivesABlockedPublish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &stubborn{release: make(chan struct{})}
		tr := transport.Wrap(p, noSubscriber)
		sender := transport.SenderOf(tr)
		start := time.Now()
		const window = 64
		outcomes := make(chan error, 2*window)
		for i := range window {
			err := sender.Send(t.Context(), transport.Publication{Topic: "t", Deadline: start.Add(time.Second)},
				message.NewMessage(fmt.Sprint(i), nil), func(err error) { outcomes <- err })
			if err != nil {
				t.Fatal(err)
			}
		}
		never := func(error) { t.Error("done was called for a send that was not taken") }
		send := func(ctx context.Context, p transport.Publication) error {
			p.Topic = "t"
			return sender.Send(ctx, p, message.NewMessage("late", nil), never)
		}
		if err := send(t.Context(), transport.Publication{NoWait: true}); !errors.Is(err, transport.ErrBacklog) {
			t.Errorf("no wait: got %v, want ErrBacklog", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := send(ctx, transport.Publication{}); !errors.Is(err, transport.ErrBlocked) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("context: got %v, want ErrBlocked and DeadlineExceeded", err)
		}
		if err := send(t.Context(), transport.Publication{Deadline: start.Add(2 * time.Second)}); !errors.Is(err, transport.ErrBlocked) {
			t.Errorf("deadline: got %v, want ErrBlocked", err)
		}
		for range window {
			if err := <-outcomes; !errors.Is(err, transport.ErrUnknown) {
				t.Errorf("got %v, want ErrUnknown", err)
			}
		}
		close(p.release)
		synctest.Wait()
		if len(outcomes) > 0 {
			t.Errorf("done was called again, with %v", <-outcomes)
		}
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseResolvesWhatPublishDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &stubborn{release: make(chan struct{})}
		tr := transport.Wrap(p, noSubscriber)
		outcome := make(chan error, 2)
		err := transport.SenderOf(tr).Send(t.Context(), transport.Publication{Topic: "t"}, message.NewMessage("1", nil), func(err error) { outcome <- err })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := tr.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close returned %v, want DeadlineExceeded", err)
		}
		if err := <-outcome; !errors.Is(err, transport.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
		close(p.release)
	})
}

func TestMessagesOfOneKeyArePublishedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &stubborn{release: make(chan struct{})}
		tr := transport.Wrap(p, noSubscriber)
		want := make([]string, 50)
		for i := range want {
			want[i] = fmt.Sprint(i)
			err := transport.SenderOf(tr).Send(t.Context(), transport.Publication{Topic: "t", Key: "k"}, message.NewMessage(want[i], nil), func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		close(p.release)
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, p.published); diff != "" {
			t.Errorf("published (-want +got):\n%s", diff)
		}
	})
}

// plain is a transport without Sender and Consumer.
type plain struct{ transport.Transport }

func TestPlainTransportsAreAdapted(t *testing.T) {
	t.Parallel()
	inner := memorytransport.New()
	tr := plain{inner}
	deliveries := make(chan transport.Delivery, 1)
	c, err := transport.ConsumerOf(tr).Consume(t.Context(), transport.Subscription{Topic: "t", Group: "g"}, func(d transport.Delivery) { deliveries <- d })
	if err != nil {
		t.Fatal(err)
	}
	outcome := make(chan error, 1)
	err = transport.SenderOf(tr).Send(t.Context(), transport.Publication{Topic: "t"}, message.NewMessage("1", []byte("hello")), func(err error) { outcome <- err })
	if err != nil {
		t.Fatal(err)
	}
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}
	d := <-deliveries
	if got := string(d.Message().Payload); got != "hello" {
		t.Errorf("got %q", got)
	}
	d.Settle(transport.Ack, nil)
	if err := errors.Join(c.Close(t.Context()), inner.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

func ExampleWrap() {
	ctx := context.Background()
	channel := gochannel.NewGoChannel(gochannel.Config{}, nil)
	tr := transport.Wrap(channel, func(transport.Subscription) (message.Subscriber, error) { return channel, nil })
	defer func() { _ = tr.Close(ctx) }()

	fmt.Println(tr.Capabilities().Delay)
	err := transport.SenderOf(tr).Send(ctx, transport.Publication{Topic: "t", Delay: time.Second}, message.NewMessage("1", nil), nil)
	fmt.Println(err)
	// Output:
	// none
	// send to "t": Publication.Delay needs the ability "delay", which the transport watermill lacks: not supported by this transport
}
