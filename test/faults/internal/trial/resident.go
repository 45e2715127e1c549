package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

// inMemory is the queue of the memory transport, beside RabbitMQ's quorum and classic.
const inMemory = "memory"

// Why a fault of the network or of a node means nothing to the memory transport.
const (
	noConnection = "its broker is in the process of its programs, so there is no connection to break"
	noNode       = "its broker is in the process of its programs, so there is no node that could be away"
)

// resident is a producer or a consumer in this process, with a runtime of its own: the memory transport's broker is in the
// process of its programs.
type resident struct {
	name   string
	rt     *async.Runtime
	stop   context.CancelFunc
	exited chan struct{}
	err    error // after exited
}

// reside starts a resident on the broker. work ends with its context, or with the runtime.
func reside(name string, b *memorytransport.Broker, path string, work func(context.Context, *async.Runtime, *journal.Writer) error, opts ...async.Option) (*resident, error) {
	j, err := journal.Open(path)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &resident{name: name, stop: stop, exited: make(chan struct{})}
	if r.rt, err = async.Open(ctx, append(opts, async.WithTransport(b.Open()), async.WithApp("faults"))...); err != nil {
		stop()
		return nil, errors.Join(err, j.Close())
	}
	go func() {
		defer close(r.exited)
		r.err = errors.Join(work(ctx, r.rt, j), r.rt.Close(), j.Write(journal.Entry{Kind: journal.Ended}), j.Close())
	}()
	return r, nil
}

func (s *session) resideProducer() error {
	l, path, spoilt := s.fault.Load, s.journal("producer"), load.Poison{Every: s.spoilt()}
	r, err := reside("producer", s.memory, path, func(ctx context.Context, rt *async.Runtime, j *journal.Writer) error {
		return load.Producer{Stream: l.Stream, Run: "run", Rate: l.Rate, Writers: l.Writers, Size: l.Size, Spoilt: spoilt, Journal: j, Path: path}.Produce(ctx, rt)
	}, async.WithNamespace(s.namespace))
	if err == nil {
		s.producer = r
	}
	return err
}

func (s *session) resideConsumer(path string) error {
	l := s.fault.Load
	r, err := reside("consumer", s.memory, path, func(ctx context.Context, rt *async.Runtime, j *journal.Writer) error {
		c := load.Consumer{Stream: l.Stream, Handling: l.Handling, Poison: l.Poison, Harm: l.harm(), Journal: j}
		return c.Consume(ctx, rt)
	}, async.WithNamespace(s.namespace), async.WithConcurrency(workers), async.WithDrainTimeout(l.drain()))
	if err == nil {
		s.consumer = r
	}
	return err
}

// What consumers are told where it matters here; the same as the defaults of their command.
const (
	workers    = 16
	usualDrain = 30 * time.Second
)

func (r *resident) running() bool {
	select {
	case <-r.exited:
		return false
	default:
		return true
	}
}

func (r *resident) ended() <-chan struct{} { return r.exited }

func (r *resident) failure() error { return r.err }

func (r *resident) words() string {
	if r.err == nil {
		return ""
	}
	return r.err.Error()
}

// kill closes the runtime without any time: what it has begun goes back to its queue.
func (r *resident) kill() error {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	// That handlers were cut short is what is wanted.
	_ = r.rt.Shutdown(now)
	r.stop()
	return r.gone()
}

func (r *resident) finish() error {
	r.stop()
	if err := r.gone(); err != nil {
		return err
	}
	return r.err
}

func (r *resident) gone() error {
	timer := time.NewTimer(endTimeout)
	defer timer.Stop()
	select {
	case <-r.exited:
		return nil
	case <-timer.C:
		return fmt.Errorf("the %s did not end within %s", r.name, endTimeout)
	}
}

// memory is that of both sides and the broker, which share the process.
func (r *resident) memory() int64 { return residentMemory(os.Getpid()) }

func (r *resident) testify() { _ = r.kill() }
