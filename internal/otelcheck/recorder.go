package otelcheck

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/log/embedded"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Recorder is an SDK that keeps everything.
type Recorder struct {
	Tracers    *sdktrace.TracerProvider
	Meters     *sdkmetric.MeterProvider
	Loggers    log.LoggerProvider
	Propagator propagation.TextMapPropagator

	reader *sdkmetric.ManualReader

	mu             sync.Mutex
	started, ended int
	given          map[trace.SpanID]Span
	spans          []Span
	records        []Record
}

// NewRecorder makes a recorder with a sampler; nil samples everything.
func NewRecorder(sampler sdktrace.Sampler) *Recorder {
	if sampler == nil {
		sampler = sdktrace.AlwaysSample()
	}
	r := &Recorder{reader: sdkmetric.NewManualReader(), given: make(map[trace.SpanID]Span)}
	r.Tracers = sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(spanSink{r}))
	r.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	r.Loggers = logProvider{recorder: r}
	r.Propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	return r
}

// Fill copies what was recorded so far into c.
func (r *Recorder) Fill(ctx context.Context, c *Capture) error {
	var rm metricdata.ResourceMetrics
	if err := r.reader.Collect(ctx, &rm); err != nil {
		return fmt.Errorf("collect metrics: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Metrics = rm.ScopeMetrics
	c.Spans = append(c.Spans, r.spans...)
	c.Started, c.Ended = r.started, r.ended
	c.Records = append(c.Records, r.records...)
	return nil
}

// Streams counts the metric streams so far.
func (r *Recorder) Streams(ctx context.Context) (int, error) {
	var c Capture
	if err := r.Fill(ctx, &c); err != nil {
		return 0, err
	}
	n := 0
	for _, m := range c.metrics() {
		n += len(m.points())
	}
	return n, nil
}

type spanSink struct{ *Recorder }

func (s spanSink) OnStart(_ context.Context, span sdktrace.ReadWriteSpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	s.given[span.SpanContext().SpanID()] = Span{Given: attributesOf(span.Attributes()), GivenLinks: len(span.Links())}
}

func (s spanSink) OnEnd(span sdktrace.ReadOnlySpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	at := s.given[span.SpanContext().SpanID()]
	at.Name, at.Kind, at.Context, at.Parent = span.Name(), span.SpanKind(), span.SpanContext(), span.Parent()
	at.Dropped, at.Attributes, at.Start, at.End = span.DroppedLinks(), attributesOf(span.Attributes()), span.StartTime(), span.EndTime()
	at.Status, at.Description, at.Scope = span.Status().Code, span.Status().Description, span.InstrumentationScope()
	for _, l := range span.Links() {
		at.Links = append(at.Links, Link{Context: l.SpanContext, Attributes: attributesOf(l.Attributes)})
	}
	for _, e := range span.Events() {
		at.Events = append(at.Events, e.Name)
	}
	s.spans = append(s.spans, at)
}

func (spanSink) Shutdown(context.Context) error   { return nil }
func (spanSink) ForceFlush(context.Context) error { return nil }

func attributesOf(list []attribute.KeyValue) Attributes {
	a := make(Attributes, len(list))
	for _, kv := range list {
		a[kv.Key] = kv.Value
	}
	return a
}

type logProvider struct {
	embedded.LoggerProvider

	recorder *Recorder
}

func (p logProvider) Logger(string, ...log.LoggerOption) log.Logger {
	return logSink{recorder: p.recorder}
}

type logSink struct {
	embedded.Logger

	recorder *Recorder
}

func (logSink) Enabled(context.Context, log.EnabledParameters) bool { return true }

func (s logSink) Emit(ctx context.Context, r log.Record) {
	record := Record{Event: r.EventName(), Severity: int(r.Severity()), Span: trace.SpanContextFromContext(ctx).SpanID(), Attributes: make(Attributes)}
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		record.Attributes[kv.Key] = kv.Value
		return true
	})
	s.recorder.mu.Lock()
	defer s.recorder.mu.Unlock()
	s.recorder.records = append(s.recorder.records, record)
}
