package acceptance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// assignmentVariable makes this binary a process of an application under test.
const assignmentVariable = "ASYNC_TEST_ASSIGNMENT"

// assignment says what a process does.
type assignment struct {
	Role      string // "publisher" or "consumer"
	Namespace string
	App       string
	Journal   string
	Name      string        // publisher: the prefix of its ids
	Count     int           // publisher: how many events, and how many commands
	Handling  time.Duration // consumer: how long a handler works
	Drain     time.Duration // consumer: its drain timeout
	Workers   int           // consumer: how many messages of one rpc it handles at once
}

// carryOut does what text says and returns the exit code of the process.
func carryOut(text string) int {
	var a assignment
	err := json.Unmarshal([]byte(text), &a)
	if err == nil {
		err = a.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, a.Role, a.App+a.Name+":", err)
		return 1
	}
	return 0
}

func (a assignment) run() error {
	j, err := newJournal(a.Journal)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	opts := []async.Option{async.WithURL(brokerURL()), async.WithNamespace(a.Namespace), async.WithApp(a.App)}
	if a.Drain > 0 {
		opts = append(opts, async.WithDrainTimeout(a.Drain))
	}
	if a.Workers > 0 {
		opts = append(opts, async.WithConcurrency(a.Workers))
	}
	rt, err := async.Open(ctx, opts...)
	if err != nil {
		return err
	}
	if a.Role == "publisher" {
		err = a.publish(ctx, rt, j)
	} else {
		err = a.consume(ctx, rt, j)
	}
	return errors.Join(err, rt.Close(), j.write(entryEnded), j.close())
}

// publish sends a.Count events and as many commands from several goroutines, and writes down each id before it is sent and
// after it was stored.
func (a assignment) publish(ctx context.Context, rt *async.Runtime, j *journal) error {
	const senders = 8
	events, commands := ordersv1async.NewOrderEventsPublisher(rt), ordersv1async.NewOrdersPublisher(rt)
	stored := make(chan string, senders)
	var recorder sync.WaitGroup
	var recordErr error
	recorder.Go(func() { recordErr = record(j, stored) })
	errs := make([]error, senders)
	send := func(id string, call func() error) error {
		if err := j.write(entryStarted + " " + id); err != nil {
			return err
		}
		if err := call(); err != nil {
			return errors.Join(err, j.write(entryFailed+" "+id))
		}
		stored <- id
		return nil
	}
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for i := sender; i < a.Count && errs[sender] == nil; i += senders {
				event, command := fmt.Sprintf("event-%s-%d", a.Name, i), fmt.Sprintf("command-%s-%d", a.Name, i)
				errs[sender] = errors.Join(
					send(event, func() error {
						return events.Placed(ctx, &ordersv1.OrderPlaced{OrderId: event}, async.WithMessageID(event))
					}),
					send(command, func() error {
						return commands.Ship(ctx, &ordersv1.ShipRequest{OrderId: command, RequestId: command})
					}),
				)
			}
		})
	}
	all.Wait()
	close(stored)
	recorder.Wait()
	return errors.Join(errors.Join(errs...), recordErr)
}

// record writes ids down and has them on the disk before it takes the next ones.
func record(j *journal, stored <-chan string) error {
	var failed error
	for id := range stored {
		entries := []string{entryStored + " " + id}
		for more := len(stored); more > 0; more-- {
			entries = append(entries, entryStored+" "+<-stored)
		}
		failed = errors.Join(failed, j.write(entries...), j.sync())
	}
	return failed
}

// consume handles events and commands until SIGTERM.
func (a assignment) consume(ctx context.Context, rt *async.Runtime, j *journal) error {
	handle := func(ctx context.Context, id string) error {
		if err := j.write(entryBegan + " " + id); err != nil {
			return err
		}
		if err := pass(ctx, a.Handling); err != nil {
			return errors.Join(err, j.write(entryAborted+" "+id))
		}
		return j.write(entryHandled + " " + id)
	}
	err := errors.Join(
		ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(ctx context.Context, e *ordersv1.OrderPlaced) error {
			return handle(ctx, e.GetOrderId())
		}),
		ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, c *ordersv1.ShipRequest) error {
			return handle(ctx, c.GetOrderId())
		}),
	)
	if err != nil {
		return err
	}
	go func() {
		<-rt.Ready()
		if err := j.write(entryReady); err != nil {
			fmt.Fprintln(os.Stderr, "consumer:", err)
		}
	}()
	return rt.Run(ctx)
}
