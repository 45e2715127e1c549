// Package ours is protoc-gen-async as a program uses it: generated publishers and subscribers on a runtime.
package ours

import (
	"context"
	"errors"
	"fmt"
	"strings"

	benchv1 "github.com/asyncpb/async/benchmarks/gen/bench/v1"
	"github.com/asyncpb/async/benchmarks/gen/bench/v1/benchv1async"
	"github.com/asyncpb/async/benchmarks/internal/broker"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	_ "github.com/asyncpb/async/runtime/transport/amqptransport" // the scheme amqp
)

// receipts is how many asynchronous sends the caller keeps an eye on; how many are under way is the transport's choice.
const receipts = 4096

// New returns the peer on RabbitMQ, configured as it comes.
func New(b *broker.Broker) peer.Peer {
	return peer.Peer{
		Name: "generated stubs, protobuf, confirms, window 1024, up to 4 channels, prefetch 16 for each worker",
		Open: func(ctx context.Context, l load.Load) (peer.Session, error) {
			return open(ctx, queueURL(b, l), b.Name(), l)
		},
	}
}

// queueURL is the broker's URL with the load's type of queues.
func queueURL(b *broker.Broker, l load.Load) string {
	separator := "?"
	if strings.Contains(b.URL(), "?") {
		separator = "&"
	}
	return b.URL() + separator + "queue_type=" + l.Queue
}

type session struct {
	load      load.Load
	namespace string
	body      []byte
	rt        *async.Runtime
	publisher benchv1async.MeterPublisher
	stop      context.CancelFunc
	ran       chan error
}

func open(ctx context.Context, url, namespace string, l load.Load) (*session, error) {
	opts := []async.Option{async.WithURL(url), async.WithNamespace(namespace), async.WithApp("bench")}
	rt, err := async.Open(ctx, append(opts, telemetry(l.Telemetry)...)...)
	if err != nil {
		return nil, err
	}
	return &session{
		load: l, namespace: namespace, body: load.Body(l.Bytes), rt: rt, publisher: benchv1async.NewMeterPublisher(rt),
	}, nil
}

func (s *session) Send(ctx context.Context, src *load.Source) error {
	switch s.load.Mode {
	case load.Sync:
		return peer.Callers(ctx, s.load.Callers, src, func(ctx context.Context, number int, intended int64) error {
			return s.publisher.Record(ctx, load.NewSample(number, intended, s.body))
		})
	case load.Batch:
		return s.sendBatches(ctx, src)
	case load.Async:
		return s.Fill(ctx, src)
	case load.NoConfirm, load.Request:
	}
	return fmt.Errorf("a generated publisher has no mode %q", s.load.Mode)
}

func (s *session) sendBatches(ctx context.Context, src *load.Source) error {
	batch := make([]*benchv1.Sample, 0, load.BatchSize)
	for more := true; more; {
		batch = batch[:0]
		for len(batch) < load.BatchSize {
			number, intended, ok := src.Next()
			if !ok {
				more = false
				break
			}
			batch = append(batch, load.NewSample(number, intended, s.body))
		}
		if err := s.publisher.RecordBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// Fill sends asynchronously from one goroutine.
func (s *session) Fill(ctx context.Context, src *load.Source) error {
	open := make([]*async.Receipt, receipts)
	for i := 0; ; i++ {
		number, intended, ok := src.Next()
		if !ok {
			break
		}
		place := &open[i%receipts]
		if *place != nil {
			if err := (*place).Wait(ctx); err != nil {
				return err
			}
		}
		*place = s.publisher.RecordAsync(ctx, load.NewSample(number, intended, s.body))
	}
	var errs []error
	for _, r := range open {
		if r != nil {
			errs = append(errs, r.Wait(ctx))
		}
	}
	return errors.Join(errs...)
}

func (s *session) Receive(ctx context.Context, h load.HandleFunc) error {
	var opts []async.SubscribeOption
	if s.load.Concurrency > 0 {
		opts = append(opts, async.WithConcurrency(s.load.Concurrency))
	}
	handle := func(_ context.Context, m *benchv1.Sample) error {
		h(load.ReadSample(m))
		return nil
	}
	if err := benchv1async.NewMeterSubscriber(s.rt).OnRecord(handle, opts...); err != nil {
		return err
	}
	return s.run(ctx)
}

func (s *session) run(ctx context.Context) error {
	ctx, s.stop = context.WithCancel(ctx)
	s.ran = make(chan error, 1)
	go func() { s.ran <- s.rt.Run(ctx) }()
	select {
	case <-s.rt.Ready():
		return nil
	case err := <-s.ran:
		s.ran <- err
		return err
	}
}

// binding is what Pause and Resume call the handler.
const binding = benchv1async.MeterName + "/Record"

func (s *session) Pause() error { return s.rt.Pause(binding) }

func (s *session) Resume() error { return s.rt.Resume(binding) }

func (s *session) Close(context.Context) error {
	var err error
	if s.stop != nil {
		s.stop()
		err = <-s.ran
	}
	return errors.Join(err, s.rt.Close())
}

func (s *session) Topology() peer.Topology {
	topic := s.namespace + "." + benchv1async.MeterRecordTopic
	return peer.Topology{
		Queues:    []string{transport.QueueName(topic, benchv1async.MeterName), transport.DeadName(topic, benchv1async.MeterName)},
		Exchanges: []string{topic},
	}
}

func (s *session) Parse(payload []byte) (number int, intended int64, err error) {
	return load.ParseSample(payload)
}
