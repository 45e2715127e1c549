package asyncotel

import (
	"context"
	"reflect"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	async "github.com/asyncpb/async/runtime"
)

// tracing knows whether somebody makes spans: a program may have no SDK, or install one after New.
type tracing struct {
	global  trace.TracerProvider // OpenTelemetry's own placeholder, until another provider takes its place; else nil
	dormant bool                 // nobody ever will
}

func newTracing(p trace.TracerProvider) tracing {
	if _, nothing := p.(noop.TracerProvider); nothing {
		return tracing{dormant: true}
	}
	// The placeholder's type has no name outside of its package. It makes spans that do nothing, at a price.
	if t := reflect.TypeOf(p); t.Kind() == reflect.Pointer && t.Elem().PkgPath() == placeholderPath {
		return tracing{global: p}
	}
	return tracing{}
}

// placeholderPath is where the placeholder is made.
const placeholderPath = "go.opentelemetry.io/otel/internal/global"

// asleep reports whether spans would be made for nobody.
func (t *tracing) asleep() bool {
	return t.dormant || t.global != nil && t.global == otel.GetTracerProvider()
}

// idle reports whether nobody hears anything: then only contexts are passed on.
func (t *Telemetry) idle(ctx context.Context) bool {
	i := t.instruments
	return t.tracing.asleep() && !i.operation.Enabled(ctx) && !i.process.Enabled(ctx) && !i.collected.Load() &&
		!t.logger.Enabled(ctx, log.EnabledParameters{Severity: log.SeverityError})
}

// unobserved reports whether nobody hears of an operation that begins in ctx.
func (p *endpoint) unobserved(ctx context.Context) bool {
	return p.idle(ctx) || p.observes != nil && !p.observes(ctx, p.Spec)
}

// unobservedAfter is unobserved for what follows from the handling of a message; parent may be nil.
func (p *endpoint) unobservedAfter(parent async.Operation) bool {
	if p.observes == nil {
		return p.idle(context.Background())
	}
	return p.unobserved(inside(parent))
}

// passage is an operation that nobody hears of: a message's context passes through it.
type passage struct {
	from origin
	bags bool
}

// pass is what a handler gets of a message when nobody hears anything; nil when the message has nothing to pass on.
func (p *endpoint) pass(d async.ReceivedDelivery) async.Operation {
	if !p.carriesContext(d.Message.Metadata) || p.Batch {
		return nil
	}
	return &passage{from: p.origin(d.Message), bags: p.mode != async.TraceUntrusted}
}

// Context returns parent with the message's trace context and baggage.
func (o *passage) Context(parent context.Context) context.Context {
	if o.bags && o.from.baggage.Len() > 0 {
		parent = baggage.ContextWithBaggage(parent, o.from.baggage)
	}
	if !o.bags || !o.from.creation.IsValid() || trace.SpanContextFromContext(parent).IsValid() {
		return parent
	}
	return &insideContext{Context: trace.ContextWithRemoteSpanContext(parent, o.from.creation), hops: o.from.hops}
}

// End does nothing.
func (*passage) End(async.Result) {}
