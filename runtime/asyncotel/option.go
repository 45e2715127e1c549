package asyncotel

import (
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
)

// Option changes what [New] makes.
type Option interface{ apply(*settings) }

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

type settings struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	loggers    log.LoggerProvider
	propagator propagation.TextMapPropagator
	mode       async.TraceMode
	maxAge     time.Duration
	maxHops    int
	noSettle   bool
	noID       bool
	detail
}

// The defaults of the guards.
const (
	defaultMaxAge  = 15 * time.Minute
	defaultMaxHops = 32
)

func newSettings(opts []Option) settings {
	s := settings{
		tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider(), loggers: otel.GetLoggerProvider(),
		propagator: otel.GetTextMapPropagator(),
		mode:       async.TraceContinue, maxAge: defaultMaxAge, maxHops: defaultMaxHops,
	}
	if len(s.propagator.Fields()) == 0 {
		s.propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	for _, opt := range opts {
		opt.apply(&s)
	}
	return s
}

// WithTracerProvider sets who makes the spans. By default the global provider.
func WithTracerProvider(p trace.TracerProvider) Option {
	return optionFunc(func(s *settings) { s.tracers = p })
}

// WithMeterProvider sets who makes the metrics. By default the global provider.
func WithMeterProvider(p metric.MeterProvider) Option {
	return optionFunc(func(s *settings) { s.meters = p })
}

// WithLoggerProvider sets who takes the log records of errors. By default the global provider.
func WithLoggerProvider(p log.LoggerProvider) Option {
	return optionFunc(func(s *settings) { s.loggers = p })
}

// WithPropagator sets how contexts are written to messages. By default the global propagator as it is when New is called, and where
// that one does nothing, W3C trace context and baggage.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return optionFunc(func(s *settings) { s.propagator = p })
}

// WithTraceMode sets the trace mode of subscriptions for which neither the contract nor [async.WithTraceMode] says one. By default
// [async.TraceContinue].
func WithTraceMode(m async.TraceMode) Option { return optionFunc(func(s *settings) { s.mode = m }) }

// WithMaxTraceAge bounds how long a message may have waited, since it was handed to the broker or since a delayed one was due, for its handler to
// go on with its trace; after that the handler begins a new one that links to it. Retries, dead letters and their replays go on
// with their trace in any case. Default 15 minutes; zero or less is no bound.
func WithMaxTraceAge(d time.Duration) Option { return optionFunc(func(s *settings) { s.maxAge = d }) }

// WithMaxHops bounds how many handlers a trace goes through, one after the other, before a new one begins that links to it. Default
// 32; zero or less is no bound.
func WithMaxHops(n int) Option { return optionFunc(func(s *settings) { s.maxHops = n }) }

// WithoutSettleSpans leaves out the spans of settlements. By default they are made where the transport reports settlements.
func WithoutSettleSpans() Option { return optionFunc(func(s *settings) { s.noSettle = true }) }

// WithoutMessageID leaves messaging.message.id off every span. By default it is there.
func WithoutMessageID() Option { return optionFunc(func(s *settings) { s.noID = true }) }
