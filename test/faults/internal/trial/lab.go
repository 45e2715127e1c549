// Package trial runs faults: it starts a broker of its own and a producer and a consumer as processes, breaks something,
// heals it, and has the journals checked.
package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/asyncpb/async/runtime/transport/memorytransport"
	"github.com/asyncpb/async/test/faults/internal/load"
	"github.com/asyncpb/async/test/faults/internal/node"
	"github.com/asyncpb/async/test/faults/internal/proxy"
)

// Load is what goes through the broker during a fault.
type Load struct {
	Stream        load.Stream
	Rate, Writers int
	Size          int
	Handling      time.Duration
	Poison        load.Poison
	Harm          load.Harm
	// Drain is how long the consumer's handlers may finish after SIGTERM; default 30 s.
	Drain time.Duration
}

func (l Load) drain() time.Duration { return cmp.Or(l.Drain, usualDrain) }

func (l Load) harm() load.Harm { return cmp.Or(l.Harm, load.HarmError) }

// Fault is something that goes wrong, and what must hold all the same.
type Fault struct {
	// Number is its name in the documentation: F1.
	Number string
	// Title says what goes wrong.
	Title string
	// Load is what goes through meanwhile.
	Load Load
	// Nodes is how many brokers hold the queues together; default 1.
	Nodes int
	// Quorum is why the fault means nothing at classic queues; empty if it does.
	Quorum string
	// Apart is why the fault means nothing to a broker in the process of its programs; empty if it does mean something.
	Apart string
	// Lossy: what goes wrong takes messages away by itself, such as the end of their queue.
	Lossy bool
	// Buries is how many good messages may become dead letters; default none.
	Buries int
	// inject breaks and heals, and returns how often something was broken. Ready says that the load flows.
	inject func(ctx context.Context, s *session) (int, error)
	// judge holds what only this fault promises; nil for nothing.
	judge func(s *session, r *Result) error
}

// Lab is where faults are tried. It tries one at a time.
type Lab struct {
	Length
	// Evidence is the folder that gets what tells why a fault failed; empty for nowhere.
	Evidence string

	node *node.Node
	runs int
}

// NewLab starts a broker, for faults of a length, and with a folder for [Lab.Evidence]. The caller calls Close.
func NewLab(ctx context.Context, length Length, evidence string) (*Lab, error) {
	n, err := node.New()
	if err != nil {
		return nil, err
	}
	if err := n.Start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return &Lab{Length: length, Evidence: evidence, node: n}, nil
}

// Close ends the broker and removes everything that it had.
func (l *Lab) Close() error { return l.node.Close() }

// Try runs a fault at queues of a type: quorum or classic ones of RabbitMQ, or memory, those of the memory transport.
func (l *Lab) Try(ctx context.Context, f Fault, queue string) (r *Result, err error) {
	if f.Nodes > 1 && queue == "classic" {
		return &Result{Fault: f.Number, Title: f.Title, Queue: queue, NotApplicable: "such a queue lives on one node only"}, nil
	}
	if f.Quorum != "" && queue == "classic" {
		return &Result{Fault: f.Number, Title: f.Title, Queue: queue, NotApplicable: f.Quorum}, nil
	}
	if f.Apart != "" && queue == inMemory {
		return &Result{Fault: f.Number, Title: f.Title, Queue: queue, NotApplicable: f.Apart}, nil
	}
	l.runs++
	began := time.Now()
	s := &session{Lab: l, fault: f, queue: queue, namespace: fmt.Sprintf("faults%d", l.runs), figures: make(map[string]float64)}
	defer func() {
		if l.Evidence != "" && (err != nil || len(r.Broken) > 0) {
			err = errors.Join(err, s.testify(ctx))
		}
		err = errors.Join(err, s.close())
	}()
	if queue == inMemory {
		s.memory = memorytransport.NewBroker(memorytransport.WithCapacity(capacity))
	}
	if f.Nodes > 1 {
		if s.nodes, err = node.NewCluster(ctx, f.Nodes); err != nil {
			return nil, err
		}
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	injected, err := f.inject(ctx, s)
	if err != nil {
		return nil, err
	}
	if s.healed.IsZero() {
		s.heal()
	}
	report, err := s.settle(ctx)
	if err != nil {
		return nil, err
	}
	r = newResult(report, injected)
	r.Fault, r.Title, r.Queue, r.Length, r.Figures = f.Number, f.Title, queue, l.String(), s.figures
	r.Began = began.UTC().Truncate(time.Second)
	if f.Lossy {
		report.Lost = nil
	}
	if f.Buries > 0 {
		s.note("good dead letters", float64(len(report.Buried)))
	}
	if len(report.Buried) <= f.Buries {
		report.Buried = nil
	}
	if f.judge != nil {
		if err := f.judge(s, r); err != nil {
			return nil, err
		}
	}
	r.Broken = append(verdict(report, injected), s.broken...)
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

// Failed is the result of a fault that could not be tried to its end, because of err.
func (l *Lab) Failed(f Fault, queue string, err error) *Result {
	return &Result{Fault: f.Number, Title: f.Title, Queue: queue, Length: l.String(), Broken: []string{"was not tried to its end: " + err.Error()}}
}

// open starts the proxies, the consumer and the producer, and returns when messages flow.
func (s *session) open(ctx context.Context) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "async-faults-"); err != nil {
		return err
	}
	if s.sending, err = proxy.New(s.node.Address()); err != nil {
		return err
	}
	if s.taking, err = proxy.New(s.node.Address()); err != nil {
		return err
	}
	if err := s.startConsumer(); err != nil {
		return err
	}
	if err := s.awaitConsumer(ctx); err != nil {
		return err
	}
	if err := s.startProducer(); err != nil {
		return err
	}
	began := time.Now()
	if err := s.flow(ctx, began, 0); err != nil {
		return err
	}
	clear(s.figures)
	return nil
}
