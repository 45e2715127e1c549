package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
	"github.com/asyncpb/async/test/faults/internal/proxy"
)

// keepUpBar is the share of what a bad network allows that must be accepted.
const keepUpBar = 0.8

// keepUp judges what is accepted in bad weather for some time. The network allows the bandwidth that it has, and what the client
// library alone gets confirmed in the same weather, by as many writers, each with one message at a time.
func (s *session) keepUp(ctx context.Context, w proxy.Weather, length time.Duration) error {
	measured := make(chan error, 1)
	var reference float64
	go func() {
		var err error
		reference, err = s.reference(ctx, w, length)
		measured <- err
	}()
	began, carried := time.Now(), s.sending.Carried()
	if err := errors.Join(load.Pass(ctx, length), <-measured); err != nil {
		return err
	}
	ended := time.Now()
	carried = s.sending.Carried() - carried
	sent, err := s.sent()
	if err != nil {
		return err
	}
	accepted := check.Rate(sent, journal.Accepted, began.UnixNano(), ended.UnixNano(), func(string) bool { return true })
	allowed := min(reference, float64(s.fault.Load.Rate))
	share := accepted / allowed
	if w.Bandwidth > 0 {
		share = max(share, float64(carried)/ended.Sub(began).Seconds()/float64(w.Bandwidth))
	}
	name := weatherName(w)
	s.figures[name+" accepted/s"], s.figures[name+" allowed/s"], s.figures[name+" share %"] = accepted, allowed, 100*share
	if share < keepUpBar {
		s.fail("with %s %.0f messages a second were accepted and %.0f allowed: %.0f %%, and %.0f %% is the least", name, accepted, allowed, 100*share, 100*keepUpBar)
	}
	return nil
}

func weatherName(w proxy.Weather) string {
	switch {
	case w.Latency > 0:
		return "latency"
	case w.Bandwidth > 0:
		return "a narrow line"
	case w.Slice > 0:
		return "single bytes"
	default:
		return "slow close"
	}
}

// reference is how many messages a second the client library alone gets confirmed through a proxy of its own.
func (s *session) reference(ctx context.Context, w proxy.Weather, length time.Duration) (perSecond float64, err error) {
	network, err := proxy.New(s.node.Address())
	if err != nil {
		return 0, err
	}
	defer network.Close()
	conn, err := amqp.Dial(fmt.Sprintf("amqp://guest:guest@%s/", network.Address()))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.CloseDeadline(time.Now().Add(time.Second))) }()
	ch, err := conn.Channel()
	if err != nil {
		return 0, err
	}
	queue, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err := errors.Join(err, ch.Confirm(false)); err != nil {
		return 0, err
	}
	network.Set(w)
	trial := ctx
	ctx, cancel := context.WithTimeout(trial, length)
	defer cancel()
	l := s.fault.Load
	pace := time.Second * time.Duration(l.Writers) / time.Duration(l.Rate)
	var confirmed atomic.Int64
	var writers sync.WaitGroup
	began := time.Now()
	for range l.Writers {
		writers.Go(func() {
			for load.Pass(ctx, 0) == nil {
				due := time.Now().Add(pace)
				d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue.Name, false, false, amqp.Publishing{Body: bytes.Repeat([]byte("."), 64)})
				if err != nil {
					return
				}
				if ok, err := d.WaitContext(ctx); err != nil || !ok {
					return
				}
				confirmed.Add(1)
				_ = load.Pass(ctx, time.Until(due)) // the loop looks at ctx
			}
		})
	}
	writers.Wait()
	return float64(confirmed.Load()) / time.Since(began).Seconds(), context.Cause(trial)
}
