package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// broker are the faults of the broker.
func broker() []Fault {
	return []Fault{
		{
			Number: "F5", Title: "the broker is stopped or killed and started again", Apart: noNode,
			Load:   Load{Stream: load.Commands, Rate: 1000, Writers: 16},
			inject: restarts,
		},
		{
			Number: "F6", Title: "the broker is away, at the start and later", Apart: noNode,
			Load:   Load{Stream: load.Commands, Rate: 500, Writers: 16},
			inject: away,
		},
		{
			Number: "F9", Title: "the broker is out of memory, then out of disk", Apart: noNode,
			Load:   Load{Stream: load.Commands, Rate: 1000, Writers: 16},
			inject: alarms, judge: punctual,
		},
		{
			Number: "F10", Title: "the queue is deleted, then the exchange", Lossy: true, Apart: noNode,
			Load:   Load{Stream: load.Commands, Rate: 200, Writers: 16},
			inject: deletions, judge: interrupted,
		},
		{
			Number: "F10c", Title: "producer and consumer acknowledge what was never delivered, and lose their channels", Apart: noConnection,
			Load:   Load{Stream: load.Ordered, Rate: 200, Writers: 16, Handling: 5 * time.Millisecond},
			inject: misacks, judge: interrupted,
		},
		{
			Number: "F10t", Title: "two handlers take longer than the broker's consumer timeout", Apart: "it gives handlers all the time they need",
			Load:   Load{Stream: load.Commands, Rate: 200, Writers: 16, Poison: load.Poison{Every: 10, Most: 2}, Harm: load.HarmHang},
			inject: impatience, judge: retold,
		},
	}
}

func restarts(ctx context.Context, s *session) (int, error) {
	kills := s.often(2, 10)
	for i := range kills {
		end := s.node.Kill
		if i%2 == 1 {
			end = s.node.Stop
		}
		if err := end(); err != nil {
			return i, err
		}
		if err := s.node.Start(ctx); err != nil {
			return i, err
		}
		s.heal()
		if err := s.flow(ctx, s.healed, 5*time.Second); err != nil {
			return i, err
		}
		if err := load.Pass(ctx, time.Second); err != nil {
			return i, err
		}
	}
	return kills, nil
}

// away takes the broker from programs that run, and then from those that start.
func away(ctx context.Context, s *session) (int, error) {
	growth := s.growth()
	if err := s.node.Kill(); err != nil {
		return 0, err
	}
	if err := growth.watch(ctx, s.length(30*time.Second, 10*time.Minute), 16); err != nil {
		return 0, err
	}
	if err := s.beginWithout(); err != nil {
		return 0, err
	}
	if err := s.node.Start(ctx); err != nil {
		return 0, err
	}
	s.heal()
	// A pause between attempts to connect is at most 10 s.
	return 2, s.flow(ctx, s.healed, 10*time.Second+heartbeat)
}

// beginWithout starts a consumer while there is no broker. It has to say so; the one that runs is left alone.
func (s *session) beginWithout() error {
	running := s.consumer
	defer func() { s.consumer = running }()
	if err := s.startConsumer(); err != nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.consumer.ended():
	case <-timer.C:
		s.fail("a consumer that was started without a broker said nothing within %s", patience)
		return s.consumer.kill()
	}
	if s.consumer.failure() == nil || s.consumer.words() == "" {
		s.fail("a consumer that was started without a broker ended without an error")
	}
	return nil
}

// physical is the name of the topic at the broker.
func (s *session) physical() string { return s.namespace + "." + s.fault.Load.Stream.Topic() }

func (s *session) group() string { return s.fault.Load.Stream.Group("faults") }

// administer does something at the broker over a connection of its own, past the proxies.
func (s *session) administer(do func(*amqp.Channel) error) error {
	conn, err := amqp.Dial(fmt.Sprintf("amqp://guest:guest@%s/", s.node.Address()))
	if err != nil {
		return err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = do(ch)
	}
	return errors.Join(err, conn.Close())
}

func deletions(ctx context.Context, s *session) (int, error) {
	queue := transport.QueueName(s.physical(), s.group())
	kinds := []func(*amqp.Channel) error{
		func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(queue, false, false, false)
			return err
		},
		func(ch *amqp.Channel) error { return ch.ExchangeDelete(s.physical(), false, false) },
	}
	for i, do := range kinds {
		if err := s.administer(do); err != nil {
			return i, err
		}
		s.heal()
		if err := s.flow(ctx, s.healed, 5*time.Second); err != nil {
			return i, err
		}
	}
	return len(kinds), nil
}
