package asyncotel

import (
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
)

// Telemetry is the [async.Telemetry] of OpenTelemetry. One can serve many runtimes, and is safe for concurrent use.
type Telemetry struct {
	settings

	tracing     tracing
	fields      []string // that a context is written to
	w3c         bool     // in the standard way
	tracer      trace.Tracer
	logger      log.Logger
	instruments *instruments
}

var (
	_ async.Telemetry = (*Telemetry)(nil)
	_ async.LogMarker = (*Telemetry)(nil)
)

func init() { async.RegisterTelemetry("otel", func() async.Telemetry { return New() }) }

// New prepares the tracer, the instruments and the logger. With no option it uses OpenTelemetry's global providers, also those that
// are set later; where there are none it costs little and makes nothing. An instrument that a meter provider refuses
// is told to OpenTelemetry's error handler.
func New(opts ...Option) *Telemetry {
	t := &Telemetry{settings: newSettings(opts)}
	t.tracing = newTracing(t.tracers)
	t.fields, t.w3c = t.propagator.Fields(), writesW3C(t.propagator)
	t.tracer = t.tracers.Tracer(ScopeName, trace.WithInstrumentationVersion(async.Version), trace.WithSchemaURL(SchemaURL))
	t.logger = t.loggers.Logger(ScopeName, log.WithInstrumentationVersion(async.Version), log.WithSchemaURL(SchemaURL))
	var err error
	t.instruments, err = newInstruments(t.meters.Meter(ScopeName, metric.WithInstrumentationVersion(async.Version), metric.WithSchemaURL(SchemaURL)))
	if err != nil {
		otel.Handle(err)
	}
	return t
}

// LogHandler implements [async.LogMarker]: what the runtime logs of a message has the ids of its trace; see [LogHandler].
func (t *Telemetry) LogHandler(next slog.Handler) slog.Handler { return LogHandler(next) }

// Observe implements [async.Telemetry].
func (t *Telemetry) Observe(e async.Endpoint) async.Observer {
	p := newEndpoint(t, e)
	o := async.Observer{Send: p.startSend, Encoded: p.encoded, SendBatch: p.startBatch, Call: p.startCall, Receive: p.startReceive}
	if p.noCreate {
		o.BeginBatch = p.beginBatch
	}
	if e.Subscription == nil {
		return o
	}
	if p.attempts {
		o.Attempt = p.startAttempt
	}
	if p.Batch {
		o.Entry = p.startEntry
	}
	if p.emptyReceives {
		o.ReceiveNone = p.startReceiveNone
	}
	o.Process, o.Resend, o.Settle = p.startProcess, p.startResend, p.startSettle
	o.Retried = func() { p.process.success.add(countedRetries, 1) }
	o.Interrupted = func(error) { p.process.success.add(countedInterruptions, 1) }
	return o
}
