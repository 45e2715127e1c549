package asyncotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"
)

// operationBounds are the buckets that the conventions ask for, in seconds.
var operationBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// phaseBounds reach further: messages may wait for a day.
var phaseBounds = []float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400}

// instruments are the metrics.
type instruments struct {
	counters

	operation, process, queue, receive, total, call histogram
}

// histogram is a histogram that is not asked where nobody looks at it: without a reader, or with a view that drops it.
type histogram struct{ metric.Float64Histogram }

func (h histogram) record(ctx context.Context, seconds float64, m *metering) {
	if h.Enabled(ctx) {
		h.Record(ctx, seconds, m.record...)
	}
}

func newInstruments(m metric.Meter) (*instruments, error) {
	var errs []error
	duration := func(name, description string, bounds []float64) histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
		return histogram{h}
	}
	i := &instruments{
		operation: duration(messagingconv.ClientOperationDuration{}.Name(), messagingconv.ClientOperationDuration{}.Description(), operationBounds),
		process:   duration(messagingconv.ProcessDuration{}.Name(), messagingconv.ProcessDuration{}.Description(), operationBounds),
		call:      duration(rpcconv.ClientCallDuration{}.Name(), rpcconv.ClientCallDuration{}.Description(), operationBounds),
		queue:     duration("async.message.queue.duration", "From the hand-over to the transport to the handler, first deliveries only.", phaseBounds),
		receive:   duration("async.message.receive.duration", "From the hand-over to the transport to the end of a message.", phaseBounds),
		total:     duration("async.message.total.duration", "From the creation to the end of a message.", phaseBounds),
	}
	return i, errors.Join(append(errs, i.prepareCounters(m))...)
}

// prepareCounters makes the counters. They are asynchronous, which the conventions leave to the implementation.
func (c *counters) prepareCounters(m metric.Meter) error {
	var errs []error
	const messages = "{message}"
	for kind, one := range map[counted]struct{ name, unit, description string }{
		countedSent:         {messagingconv.ClientSentMessages{}.Name(), messages, messagingconv.ClientSentMessages{}.Description()},
		countedConsumed:     {messagingconv.ClientConsumedMessages{}.Name(), messages, messagingconv.ClientConsumedMessages{}.Description()},
		countedSkew:         {"async.message.clock_skew", messages, "Messages with a measured duration below zero, which is recorded nowhere else."},
		countedRetries:      {"async.process.retries", "{attempt}", "Attempts after the first, in process and by another hand-over."},
		countedRedeliveries: {"async.message.redeliveries", messages, "Deliveries that the broker had handed out before."},
		countedDeadLettered: {"async.message.dead_lettered", messages, "Messages that were stored as dead letters."},

		countedDeadLetterFailures: {"async.message.dead_letter_failures", "{attempt}", "Attempts to store a dead letter that failed."},
		countedInterruptions:      {"async.consume.interruptions", "{interruption}", "Losses of the channel, queue or connection that messages are fetched from."},
	} {
		var err error
		c.metrics[kind], err = m.Int64ObservableCounter(one.name, metric.WithUnit(one.unit), metric.WithDescription(one.description))
		errs = append(errs, err)
	}
	upDown := func(name, description string) metric.Int64ObservableUpDownCounter {
		u, err := m.Int64ObservableUpDownCounter(name, metric.WithUnit(messages), metric.WithDescription(description))
		errs = append(errs, err)
		return u
	}
	c.pending = upDown("async.publish.pending", "Sends that the broker has not confirmed yet.")
	c.active = upDown("async.process.active", "Messages that are being handled.")
	_, err := m.RegisterCallback(c.report, c.instruments()...)
	return errors.Join(append(errs, err)...)
}
