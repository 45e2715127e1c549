package amqptransport_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// TestNoPublishOutlivesItsContext puts a plain Publish in front of a broker that does not answer, in each of the ways
// that there are. How late it returns is the median of many, so that one that a busy machine forgot proves nothing.
func TestNoPublishOutlivesItsContext(t *testing.T) {
	t.Parallel()
	const callers, late = 21, 100 * time.Millisecond
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
	ends := []struct {
		name  string
		limit func() (context.Context, context.CancelFunc)
		cause error
	}{
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
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t)
			c := p.config(t)
			c.Options["heartbeat"], c.Options["window"] = "1h", state.window
			tr := openConfig(t, c)
			s := subscription(t)
			declare(t, tr, s)
			mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("while all is well"))
			state.broken(p)
			for _, end := range ends {
				lateness := publishAll(t, tr, s.Topic, callers, end.limit, end.cause)
				if median := slices.Sorted(slices.Values(lateness))[callers/2]; median > late {
					t.Errorf("%s: publishing outlived its context by %v, want at most %v", end.name, median, late)
				}
			}
			p.unblock()
			p.silence(false)
		})
	}
}

// publishAll publishes from many callers at once, and tells how long after the end of its context each returned.
func publishAll(t *testing.T, tr *amqptransport.Transport, topic string, callers int, limit func() (context.Context, context.CancelFunc), cause error) []time.Duration {
	t.Helper()
	publisher := tr.Publisher()
	lateness := make([]time.Duration, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			ctx, cancel := limit()
			defer cancel()
			ended := make(chan time.Time, 1)
			stop := context.AfterFunc(ctx, func() { ended <- time.Now() })
			defer stop()
			msg := newMessage("x")
			msg.SetContext(ctx)
			err := publisher.Publish(topic, msg)
			returned := time.Now()
			if !errors.Is(err, cause) {
				t.Errorf("Publish: %v, want %v", err, cause)
				return
			}
			lateness[i] = returned.Sub(<-ended)
		})
	}
	all.Wait()
	return lateness
}
