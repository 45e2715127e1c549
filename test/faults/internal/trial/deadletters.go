package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/test/faults/internal/journal"
)

// capacity is how many messages a queue of the memory transport takes in a trial.
const capacity = 10_000

// filler begins the ids of messages that only take up room.
const filler = "filler-"

// deadQueue is where the dead letters of the trial are.
func (s *session) deadQueue() string { return transport.DeadName(s.physical(), s.group()) }

// exhume writes down what is among the dead letters, and takes it from there.
func (s *session) exhume(ctx context.Context) error {
	take := s.takeDead
	if s.queue == inMemory {
		take = s.takeDeadInMemory
	}
	entries, err := take(ctx)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e journal.Entry) bool { return strings.HasPrefix(e.ID, filler) })
	if len(entries) == 0 {
		return nil
	}
	j, err := journal.Open(s.journal("dead"))
	if err != nil {
		return err
	}
	return errors.Join(j.Write(entries...), j.Close())
}

// Buried is the entry for a dead letter. Its attempt is the one at which the runtime gave up, and 0 for what the broker gave up.
func Buried(id, attempt string) journal.Entry {
	n, err := strconv.Atoi(attempt)
	if err != nil {
		n = 0
	}
	return journal.Entry{Kind: journal.Dead, ID: id, Attempt: n}
}

func (s *session) takeDead(ctx context.Context) (dead []journal.Entry, err error) {
	err = s.administer(func(ch *amqp.Channel) error {
		for ctx.Err() == nil {
			d, ok, err := ch.Get(s.deadQueue(), true)
			if err != nil || !ok {
				return err
			}
			attempt, _ := d.Headers[transport.MetaAttempt].(string)
			dead = append(dead, Buried(d.MessageId, attempt))
		}
		return nil
	})
	return dead, err
}

func (s *session) takeDeadInMemory(ctx context.Context) (dead []journal.Entry, err error) {
	t := s.memory.Open()
	defer func() { err = errors.Join(err, t.Close(context.WithoutCancel(ctx))) }()
	deliveries, err := t.Take(ctx, s.deadQueue(), 2*capacity)
	if err != nil {
		return nil, err
	}
	for _, d := range deliveries {
		dead = append(dead, Buried(d.Message().UUID, d.Message().Metadata[transport.MetaAttempt]))
		d.Settle(transport.Ack, nil)
	}
	return dead, nil
}

// stuffDead has the queue of dead letters refuse more of them, and returns what ends that.
func (s *session) stuffDead(ctx context.Context) (end func() error, err error) {
	if s.queue == inMemory {
		return func() error { return s.exhume(ctx) }, s.fillDead(ctx)
	}
	limit := func(messages int) error {
		_, err := s.node.Control(ctx, "set_policy", "--apply-to", "queues", "full-"+s.namespace, "^"+s.namespace+`\..*--dead$`,
			fmt.Sprintf(`{"max-length":%d,"overflow":"reject-publish"}`, messages))
		return err
	}
	// A quorum queue whose limit is taken away altogether does not tell its publishers to go on: it gets a large one.
	return func() error { return limit(1_000_000) }, limit(1)
}

// fillDead sends as much as the queue takes.
func (s *session) fillDead(ctx context.Context) (err error) {
	t := s.memory.Open()
	defer func() { err = errors.Join(err, t.Close(context.WithoutCancel(ctx))) }()
	for i := 0; ; i++ {
		msg := message.NewMessage(fmt.Sprint(filler, i), nil)
		err := t.Send(ctx, transport.Publication{Topic: s.deadQueue(), Direct: true, NoWait: true, Mandatory: true}, msg, func(error) {})
		if errors.Is(err, transport.ErrBacklog) {
			return nil
		}
		if err != nil || i > capacity {
			return errors.Join(err, fmt.Errorf("the queue of dead letters took %d messages", i))
		}
	}
}
