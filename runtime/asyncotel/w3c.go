package asyncotel

import (
	"context"
	"reflect"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/runtime/transport"
)

// writesW3C reports whether p writes W3C trace context and baggage and nothing else. What nearly every program has, this package
// reads and writes in place: a propagator makes contexts and splits strings for it.
func writesW3C(p propagation.TextMapPropagator) bool {
	// The type of what NewCompositeTextMapPropagator returns has no name.
	list := reflect.ValueOf(p)
	if list.Kind() != reflect.Slice || list.Type().PkgPath() != reflect.TypeFor[propagation.TraceContext]().PkgPath() {
		return false
	}
	traces, bags := 0, 0
	for n := range list.Len() {
		switch list.Index(n).Interface().(type) {
		case propagation.TraceContext:
			traces++
		case propagation.Baggage:
			bags++
		default:
			return false
		}
	}
	return traces == 1 && bags == 1
}

// The form of a traceparent of version 00.
const (
	traceparentSize = len("00-00000000000000000000000000000000-0000000000000000-00")
	traceIDAt       = len("00-")
	spanIDAt        = traceIDAt + len("00000000000000000000000000000000-")
	flagsAt         = spanIDAt + len("0000000000000000-")
	knownFlags      = trace.FlagsSampled | trace.FlagsRandom
)

// readTraceparent reads the form that is written today. What it does not know may still be good: propagators know later versions.
func readTraceparent(text, state string) (sc trace.SpanContext, ok bool) {
	if len(text) != traceparentSize || text[:traceIDAt] != "00-" || text[spanIDAt-1] != '-' || text[flagsAt-1] != '-' {
		return sc, false
	}
	var c trace.SpanContextConfig
	var flags [1]byte
	if !unhex(c.TraceID[:], text[traceIDAt:]) || !unhex(c.SpanID[:], text[spanIDAt:]) || !unhex(flags[:], text[flagsAt:]) {
		return sc, false
	}
	c.TraceFlags, c.Remote = trace.TraceFlags(flags[0]), true
	if c.TraceFlags&^knownFlags != 0 {
		return sc, false
	}
	if state != "" {
		// Without a readable state the rest holds, as the W3C says.
		c.TraceState, _ = trace.ParseTraceState(state)
	}
	sc = trace.NewSpanContext(c)
	return sc, sc.IsValid()
}

const lowerHex = "0123456789abcdef"

// unhex reads lower case digits, the only ones that are allowed.
func unhex(into []byte, text string) bool {
	bad := byte(0)
	for i := range into {
		high, low := nibbles[text[2*i]], nibbles[text[2*i+1]]
		bad |= high | low
		into[i] = high<<4 | low
	}
	return bad&0xf0 == 0
}

// nibbles are the values of digits, and 0xff for everything else.
var nibbles = func() (values [256]byte) {
	for i := range values {
		values[i] = 0xff
	}
	for value, digit := range []byte(lowerHex) {
		values[digit] = byte(value)
	}
	return values
}()

// traceparent writes what readTraceparent reads.
func traceparent(sc trace.SpanContext) string {
	var text [traceparentSize]byte
	copy(text[:], "00-")
	traceID, spanID := sc.TraceID(), sc.SpanID()
	hex(text[traceIDAt:], traceID[:])
	text[spanIDAt-1] = '-'
	hex(text[spanIDAt:], spanID[:])
	text[flagsAt-1] = '-'
	hex(text[flagsAt:], []byte{byte(sc.TraceFlags() & knownFlags)})
	return string(text[:])
}

func hex(into, from []byte) {
	for i, b := range from {
		into[2*i], into[2*i+1] = lowerHex[b>>4], lowerHex[b&0xf]
	}
}

// injectW3C writes the context sc, and the baggage of ctx.
func injectW3C(ctx context.Context, sc trace.SpanContext, c carrier) {
	if sc.IsValid() {
		c.Set(transport.MetaTraceparent, traceparent(sc))
		if state := sc.TraceState(); state.Len() > 0 {
			c.Set(transport.MetaTracestate, state.String())
		}
	}
	if baggage.FromContext(ctx).Len() > 0 {
		propagation.Baggage{}.Inject(ctx, c)
	}
}

// readW3C reads what the message carries; ok is false if that is for the propagator to read.
func readW3C(md map[string]string) (sc trace.SpanContext, bag baggage.Baggage, ok bool) {
	if text := md[transport.MetaTraceparent]; text != "" {
		if sc, ok = readTraceparent(text, md[transport.MetaTracestate]); !ok {
			return sc, bag, false
		}
	}
	if md[transport.MetaBaggage] != "" {
		bag = readBaggage(md)
	}
	return sc, bag, true
}

func readBaggage(md map[string]string) baggage.Baggage {
	return baggage.FromContext(propagation.Baggage{}.Extract(context.Background(), carrier{&md}))
}
