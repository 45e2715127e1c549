// Package otelsdk is the OpenTelemetry SDK as all sides share it: spans are batched and handed to an exporter that drops
// them, so that what is measured is the recording.
package otelsdk

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/asyncpb/async/benchmarks/internal/load"
)

type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }

func (nowhere) Shutdown(context.Context) error { return nil }

var shared struct {
	mu        sync.Mutex
	providers map[load.Telemetry]*sdktrace.TracerProvider
}

// TracerProvider returns the provider of a level: one for the whole process until [Shutdown].
func TracerProvider(level load.Telemetry) trace.TracerProvider {
	var sampler sdktrace.Sampler
	switch level {
	case load.SDKSampling:
		sampler = sdktrace.AlwaysSample()
	case load.SDKOnePart, load.SDKBare:
		sampler = sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))
	case load.Off, load.NoSDK:
		return noop.NewTracerProvider()
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.providers == nil {
		shared.providers = make(map[load.Telemetry]*sdktrace.TracerProvider)
	}
	p := shared.providers[level]
	if p == nil {
		p = sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithBatcher(nowhere{}), sdktrace.WithResource(resource.Empty()))
		shared.providers[level] = p
	}
	return p
}

// Shutdown ends every provider and what it runs. The next [TracerProvider] is a new one.
func Shutdown(ctx context.Context) error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	var errs []error
	for _, p := range shared.providers {
		errs = append(errs, p.Shutdown(ctx))
	}
	shared.providers = nil
	return errors.Join(errs...)
}
