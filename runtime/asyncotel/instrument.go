package asyncotel

import (
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
	operation, process, queue, receive, total, call metric.Float64Histogram

	sent, consumed, skew, retries, redeliveries, deadLettered metric.Int64Counter

	pending, active metric.Int64UpDownCounter
}

func newInstruments(m metric.Meter) (*instruments, error) {
	var errs []error
	histogram := func(name, description string, bounds []float64) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
		return h
	}
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	upDown := func(name, description string) metric.Int64UpDownCounter {
		c, err := m.Int64UpDownCounter(name, metric.WithUnit("{message}"), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	const messages = "{message}"
	i := &instruments{
		operation: histogram(messagingconv.ClientOperationDuration{}.Name(), messagingconv.ClientOperationDuration{}.Description(), operationBounds),
		process:   histogram(messagingconv.ProcessDuration{}.Name(), messagingconv.ProcessDuration{}.Description(), operationBounds),
		call:      histogram(rpcconv.ClientCallDuration{}.Name(), rpcconv.ClientCallDuration{}.Description(), operationBounds),
		queue:     histogram("async.message.queue.duration", "From the hand-over to the transport to the handler, first deliveries only.", phaseBounds),
		receive:   histogram("async.message.receive.duration", "From the hand-over to the transport to the end of a message.", phaseBounds),
		total:     histogram("async.message.total.duration", "From the creation to the end of a message.", phaseBounds),

		sent:         counter(messagingconv.ClientSentMessages{}.Name(), messages, messagingconv.ClientSentMessages{}.Description()),
		consumed:     counter(messagingconv.ClientConsumedMessages{}.Name(), messages, messagingconv.ClientConsumedMessages{}.Description()),
		skew:         counter("async.message.clock_skew", messages, "Messages with a measured duration below zero, which is recorded nowhere else."),
		retries:      counter("async.process.retries", "{attempt}", "Attempts after the first, in process and by another hand-over."),
		redeliveries: counter("async.message.redeliveries", messages, "Deliveries that the broker had handed out before."),
		deadLettered: counter("async.message.dead_lettered", messages, "Messages that were stored as dead letters."),

		pending: upDown("async.publish.pending", "Sends that the broker has not confirmed yet."),
		active:  upDown("async.process.active", "Messages that are being handled."),
	}
	return i, errors.Join(errs...)
}
