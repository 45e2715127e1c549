package ours

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/otelsdk"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

// telemetry returns the options that wire it. Without an SDK it is left to the global providers, as in a program that has
// none.
func telemetry(level load.Telemetry) []async.Option {
	switch level {
	case load.NoSDK:
		return []async.Option{async.WithTelemetry(asyncotel.New())}
	case load.SDKOnePart, load.SDKSampling:
		return []async.Option{async.WithTelemetry(asyncotel.New(asyncotel.WithTracerProvider(otelsdk.TracerProvider(level))))}
	case load.SDKBare:
		return []async.Option{async.WithInterceptors(bareSpans(otelsdk.TracerProvider(level).Tracer("bare")))}
	case load.Off:
	}
	return nil
}

// bareSpans are the two spans of a message that a trace cannot do without, with the attributes that samplers ask for and everything
// prepared that can be: what the SDK takes by itself.
func bareSpans(tracer trace.Tracer) async.Interceptor {
	start := func(operation, kind string, more ...trace.SpanStartOption) []trace.SpanStartOption {
		return append(more, trace.WithAttributes(
			attribute.String("messaging.system", "in_memory"), attribute.String("messaging.destination.name", "bench"),
			attribute.String("messaging.operation.name", operation), attribute.String("messaging.operation.type", kind),
		))
	}
	send := start("publish", "send", trace.WithSpanKind(trace.SpanKindProducer))
	process := start("process", "process", trace.WithSpanKind(trace.SpanKindConsumer))
	var w3c propagation.TraceContext
	return async.Interceptor{
		Send: func(next async.SendFunc) async.SendFunc {
			return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
				ctx, span := tracer.Start(ctx, "publish bench", send...)
				out.Metadata = make(map[string]string, 1)
				w3c.Inject(ctx, propagation.MapCarrier(out.Metadata))
				r := next(ctx, out)
				span.End()
				return r
			}
		},
		Handle: func(next async.HandleFunc) async.HandleFunc {
			return func(ctx context.Context, in *async.Incoming) (proto.Message, error) {
				ctx = w3c.Extract(ctx, propagation.MapCarrier(in.Metadata))
				link := trace.WithLinks(trace.Link{SpanContext: trace.SpanContextFromContext(ctx)})
				ctx, span := tracer.Start(ctx, "process bench", append(slices.Clip(process), link)...)
				defer span.End()
				return next(ctx, in)
			}
		},
	}
}
