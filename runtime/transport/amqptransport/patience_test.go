package amqptransport_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// sending is one way to send that waits for the broker.
type sending struct {
	name string
	// open prepares a call for each caller while all is well.
	open func(t *testing.T, tr *amqptransport.Transport, namespaces []string, topic string) []func(context.Context) error
}

var sendings = []sending{
	{"a plain Publish", func(_ *testing.T, tr *amqptransport.Transport, namespaces []string, topic string) []func(context.Context) error {
		publish := func(ctx context.Context) error {
			msg := newMessage("x")
			msg.SetContext(ctx)
			return tr.Publisher().Publish(topic, msg)
		}
		return slices.Repeat([]func(context.Context) error{publish}, len(namespaces))
	}},
	{"the first command", func(t *testing.T, tr *amqptransport.Transport, namespaces []string, _ string) (calls []func(context.Context) error) {
		t.Helper()
		for _, namespace := range namespaces {
			orders := ordersv1async.NewOrdersPublisher(runtimeOn(t, tr, namespace))
			calls = append(calls, func(ctx context.Context) error { return orders.Ship(ctx, &ordersv1.ShipRequest{}) })
		}
		return calls
	}},
	{"a batch", func(t *testing.T, tr *amqptransport.Transport, namespaces []string, _ string) []func(context.Context) error {
		t.Helper()
		events := ordersv1async.NewOrderEventsPublisher(runtimeOn(t, tr, namespaces[0]))
		send := func(ctx context.Context) error {
			return events.PlacedBatch(ctx, slices.Repeat([]*ordersv1.OrderPlaced{{}}, 10))
		}
		if err := send(t.Context()); err != nil {
			t.Fatal(err)
		}
		return slices.Repeat([]func(context.Context) error{send}, len(namespaces))
	}},
}

// TestNoSendOutlivesItsContext puts sends in front of a broker that does not answer, in each of the ways that there are. How
// late they return is the median of many, so that one that a busy machine forgot proves nothing; but none may be forgotten
// for long.
func TestNoSendOutlivesItsContext(t *testing.T) {
	t.Parallel()
	states := []struct {
		name   string
		window string
		broken func(*proxy)
	}{
		{"the network swallows everything", "1024", func(p *proxy) { p.silence(true) }},
		{"the window is full as well", "4", func(p *proxy) { p.silence(true) }},
		{"the broker is short of memory", "1024", (*proxy).block},
		{"the connection is lost, and the next hangs", "1024", func(p *proxy) { p.silence(true); p.cut() }},
	}
	for _, state := range states {
		for _, way := range sendings {
			t.Run(way.name+" while "+state.name, func(t *testing.T) {
				t.Parallel()
				names := namespaces(t, callers)
				p := newProxy(t)
				c := p.config(t)
				c.Options["heartbeat"], c.Options["window"] = "1h", state.window
				tr := openConfig(t, c)
				s := subscription(t)
				declare(t, tr, s)
				mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("while all is well"))
				calls := way.open(t, tr, names, s.Topic)
				state.broken(p)
				for _, end := range ends {
					measureLateness(t, calls, end)
				}
				p.unblock()
				p.silence(false)
			})
		}
	}
}

// callers send at the same time.
const callers = 21

// end is a way in which a context ends.
type end struct {
	name  string
	limit func() (context.Context, context.CancelFunc)
	cause error
}

var ends = []end{
	{
		"a deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 200*time.Millisecond)
		}, context.DeadlineExceeded,
	},
	{
		"a cancellation", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			timer := time.AfterFunc(200*time.Millisecond, cancel)
			return ctx, func() { timer.Stop(); cancel() }
		}, context.Canceled,
	},
}

// measureLateness makes all calls at once, and wants them to return soon after the end of their contexts.
func measureLateness(t *testing.T, calls []func(context.Context) error, end end) {
	t.Helper()
	const late, forgotten = 100 * time.Millisecond, time.Second
	lateness := make([]time.Duration, len(calls))
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(func() {
			ctx, cancel := end.limit()
			defer cancel()
			ended := make(chan time.Time, 1)
			stop := context.AfterFunc(ctx, func() { ended <- time.Now() })
			defer stop()
			err := call(ctx)
			returned := time.Now()
			if !errors.Is(err, end.cause) {
				t.Errorf("%s: %v, want %v", end.name, err, end.cause)
				return
			}
			lateness[i] = returned.Sub(<-ended)
		})
	}
	all.Wait()
	slices.Sort(lateness)
	median, slowest := lateness[len(lateness)/2], lateness[len(lateness)-1]
	t.Logf("%s: median %v, slowest %v", end.name, median, slowest)
	if median > late || slowest > forgotten {
		t.Errorf("%s: sends outlived their contexts by %v, the slowest by %v, want at most %v and %v", end.name, median, slowest, late, forgotten)
	}
}
