package watermill

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/otelsdk"
)

// tracing is the two spans that a user of Watermill writes around publisher and handler. A nil one traces nothing.
type tracing struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	attributes []attribute.KeyValue
}

func newTracing(level load.Telemetry, topic string) *tracing {
	if level == load.Off {
		return nil
	}
	return &tracing{
		tracer:     otelsdk.TracerProvider(level).Tracer("benchmarks"),
		propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		attributes: []attribute.KeyValue{
			attribute.String("messaging.system", "rabbitmq"),
			attribute.String("messaging.destination.name", topic),
			attribute.String("server.address", "localhost"),
			attribute.Int("server.port", 5672),
		},
	}
}

// send runs f within a producer's span whose context travels with the message.
func (t *tracing) send(ctx context.Context, msg *message.Message, f func() error) error {
	if t == nil {
		return f()
	}
	ctx, span := t.tracer.Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(t.attributes...))
	defer span.End()
	span.SetAttributes(attribute.String("messaging.operation.type", "send"), attribute.String("messaging.message.id", msg.UUID))
	t.propagator.Inject(ctx, propagation.MapCarrier(msg.Metadata))
	return ended(span, f())
}

// process runs f within a consumer's span that continues the producer's trace.
func (t *tracing) process(msg *message.Message, f func() error) error {
	if t == nil {
		return f()
	}
	ctx := t.propagator.Extract(msg.Context(), propagation.MapCarrier(msg.Metadata))
	_, span := t.tracer.Start(ctx, "process", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(t.attributes...))
	defer span.End()
	span.SetAttributes(attribute.String("messaging.operation.type", "process"), attribute.String("messaging.message.id", msg.UUID))
	return ended(span, f())
}

func ended(span trace.Span, err error) error {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}
