package gochanneltransport_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"go.uber.org/goleak"

	"github.com/asyncpb/async/internal/pagetest"
	"github.com/asyncpb/async/runtime/promisetest"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/gochanneltransport"
	"github.com/asyncpb/async/runtime/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	transporttest.Run(t, transporttest.Harness{
		Open:   func(*testing.T) transport.Transport { return gochanneltransport.New() },
		Single: true,
		Proven: pagetest.Column("../../../docs/transports.md", "gochannel"),
	})
}

// shared outlives the runtimes that have it in turn.
type shared struct{ *gochanneltransport.Transport }

func (shared) Close(context.Context) error { return nil }

func TestConformanceOfTheRuntime(t *testing.T) {
	t.Parallel()
	promisetest.Run(t, promisetest.Harness{
		Broker: func(t *testing.T) func() transport.Transport {
			tr := gochanneltransport.New()
			t.Cleanup(func() {
				if err := tr.Close(context.Background()); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			return func() transport.Transport { return shared{tr} }
		},
		Proven: pagetest.Promise("../../../docs/transports.md", "gochannel"),
	})
}

// TestPubSub runs Watermill's universal suite.
func TestPubSub(t *testing.T) {
	t.Parallel()
	tests.TestPubSub(t, tests.Features{ExactlyOnceDelivery: true, RequireSingleInstance: true},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			t.Helper()
			tr := gochanneltransport.New()
			t.Cleanup(func() {
				if err := tr.Close(context.Background()); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			sub, err := tr.Subscriber(transport.Subscription{Group: "suite", Concurrency: 16})
			if err != nil {
				t.Fatal(err)
			}
			return tr.Publisher(), sub
		}, nil)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, url string
		fails     bool
	}{
		{"the bare scheme opens", "gochannel://", false},
		{"a host is refused", "gochannel://shared", true},
		{"a path is refused", "gochannel:///path", true},
		{"a user is refused", "gochannel://me@", true},
		{"an option is refused", "gochannel://?capacity=3", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := transport.ParseURL(row.url)
			if err != nil {
				t.Fatal(err)
			}
			tr, err := transport.Default.Open(t.Context(), c)
			if (err != nil) != row.fails {
				t.Fatalf("error %v, want one: %v", err, row.fails)
			}
			if err == nil {
				if err := tr.Close(t.Context()); err != nil {
					t.Errorf("close: %v", err)
				}
			}
		})
	}
}

func TestCloseDropsDelayed(t *testing.T) {
	t.Parallel()
	tr := gochanneltransport.New()
	if err := tr.Declare(t.Context(), transport.Subscription{Topic: "t", Group: "g"}); err != nil {
		t.Fatal(err)
	}
	outcome := make(chan error, 1)
	err := tr.Send(t.Context(), transport.Publication{Topic: "t", Delay: 1 << 40}, message.NewMessage("1", nil), func(err error) { outcome <- err })
	if err != nil {
		t.Fatal(err)
	}
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Queues(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}
