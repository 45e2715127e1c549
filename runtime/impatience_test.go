package async_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// impatient is a memory transport with RabbitMQ's consumer timeout: once a minute it looks whether a delivery has been
// unsettled for too long, and then takes back all deliveries of the consumer and hands them out again.
type impatient struct {
	*memorytransport.Transport
	timeout time.Duration
	taken   int // how often it took everything back
}

type impatientConsumption struct {
	transport.Consumption
	broker  *impatient
	s       transport.Subscription
	receive func(transport.Delivery)
	stop    chan struct{}
	work    sync.WaitGroup

	mu   sync.Mutex
	open map[*impatientDelivery]time.Time
}

type impatientDelivery struct {
	transport.Delivery
	c *impatientConsumption
}

func (b *impatient) Consume(ctx context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	c := &impatientConsumption{broker: b, s: s, receive: receive, stop: make(chan struct{}), open: make(map[*impatientDelivery]time.Time)}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	c.work.Go(c.watch)
	return c, nil
}

func (c *impatientConsumption) begin(ctx context.Context) (err error) {
	c.Consumption, err = c.broker.Transport.Consume(ctx, c.s, func(d transport.Delivery) {
		x := &impatientDelivery{d, c}
		c.mu.Lock()
		c.open[x] = time.Now()
		c.mu.Unlock()
		c.receive(x)
	})
	return err
}

func (d *impatientDelivery) Settle(o transport.Outcome, done func(error)) {
	d.c.mu.Lock()
	delete(d.c.open, d)
	d.c.mu.Unlock()
	d.Delivery.Settle(o, done)
}

func (c *impatientConsumption) watch() {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-minute.C:
		case <-c.stop:
			return
		}
		if !c.late() {
			continue
		}
		c.broker.taken++
		if c.Consumption.Close(context.Background()) != nil || c.begin(context.Background()) != nil {
			return
		}
	}
}

// late forgets what was handed out if some of it is too old.
func (c *impatientConsumption) late() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, since := range c.open {
		if time.Since(since) >= c.broker.timeout {
			clear(c.open)
			return true
		}
	}
	return false
}

func (c *impatientConsumption) Stop(ctx context.Context) error {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.work.Wait()
	return c.Consumption.Stop(ctx)
}

func TestWhatWaitsLongBehindTheHeadOfItsLaneIsHandled(t *testing.T) {
	t.Parallel()
	const failing, all = 3, 6
	for name, test := range map[string]struct {
		timeout time.Duration
		taken   int
		want    []string // step of a good message, its attempt, and when it was handled
	}{
		"a broker that waits for ever": {1000 * time.Hour, 0, []string{"4.1@1h0m0s", "5.1@1h0m0s", "6.1@1h0m0s"}},
		// The second message had been tried for 10 minutes when everything was taken back, and so had the third.
		"a broker that waits for 30 minutes": {30 * time.Minute, 2, []string{"4.1@1h20m0s", "5.1@1h20m0s", "6.1@1h20m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory(t, func(t *testing.T, w *world) {
				broker := &impatient{Transport: memorytransport.New(), timeout: test.timeout}
				w.shared = broker
				spec := moves(async.KindCommand, func(s *async.Spec) {
					retried(0, 1000, 5*time.Minute)(s)
					s.Policy.Retry.MaxBackoff = new(5 * time.Minute)
					byKey(s)
				})
				rt := w.open(t)
				start := time.Now()
				var handled []string
				onMoved(t, rt, spec, func(ctx context.Context, _ int64, step int32) error {
					if step <= failing {
						return errBroken
					}
					info, _ := async.InfoFrom(ctx)
					handled = append(handled, fmt.Sprint(step, ".", info.Attempt, "@", time.Since(start)))
					return nil
				})
				run(t, rt)
				for step := range int32(all) {
					publish(t, rt, spec, 1, step+1)
				}
				elapse(5 * time.Hour)
				if diff := cmp.Diff(test.want, handled); diff != "" {
					t.Errorf("the good messages (-want +got):\n%s", diff)
				}
				if broker.taken != test.taken {
					t.Errorf("the broker took everything back %d times, want %d", broker.taken, test.taken)
				}
				if s := rt.Stats(); s.DeadLettered != failing || s.Dropped+s.Expired != 0 {
					t.Errorf("counted %+v", s)
				}
				for _, dead := range w.deadLetters(t, spec.Topic, "movers", failing) {
					if dead["async-dead-reason"] != "retry-time" {
						t.Errorf("dead letter %v", dead)
					}
				}
			})
		})
	}
}
