// Package otelsdk is the OpenTelemetry SDK as all sides share it: spans are batched and handed to an exporter that drops
// them, so that what is measured is the recording.
package otelsdk

import (
	"context"
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

var all = sync.OnceValue(func() trace.TracerProvider { return provider(sdktrace.AlwaysSample()) })

var onePart = sync.OnceValue(func() trace.TracerProvider {
	return provider(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01)))
})

func provider(s sdktrace.Sampler) trace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(s), sdktrace.WithBatcher(nowhere{}), sdktrace.WithResource(resource.Empty()))
}

// TracerProvider returns the provider of a level; it is one and the same for the whole process.
func TracerProvider(level load.Telemetry) trace.TracerProvider {
	switch level {
	case load.SDKSampling:
		return all()
	case load.SDKOnePart:
		return onePart()
	case load.Off, load.NoSDK:
	}
	return noop.NewTracerProvider()
}
