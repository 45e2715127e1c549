package asyncotel

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// carrier is metadata that are made when something is set.
type carrier struct{ metadata *map[string]string }

func (c carrier) Get(name string) string { return (*c.metadata)[name] }

func (c carrier) Set(name, value string) {
	if *c.metadata == nil {
		*c.metadata = make(map[string]string, 4)
	}
	(*c.metadata)[name] = value
}

func (c carrier) Keys() []string { return slices.Collect(maps.Keys(*c.metadata)) }

var _ propagation.TextMapCarrier = carrier{}

// origin is what a message tells of where it comes from.
type origin struct {
	creation trace.SpanContext
	baggage  baggage.Baggage
	hops     int
	wish     string // the sender's trace mode
	created  time.Time
	sent     time.Time
	due      time.Time // of a delayed send
	failed   bool      // it was a dead letter before
}

// origin reads a message. What is not readable is not there: no message fails for its trace.
func (t *Telemetry) origin(msg *message.Message) origin {
	md := map[string]string(msg.Metadata)
	o := origin{created: transport.ParseInstant(md[transport.MetaCreatedAt]), sent: transport.ParseInstant(md[transport.MetaSentAt]), wish: md[transport.MetaTraceMode]}
	o.due, o.failed = transport.ParseInstant(md[transport.MetaDueAt]), md[transport.MetaFailedTraceparent] != ""
	if text := md[transport.MetaHops]; text != "" {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			o.hops = n
		}
	}
	if t.w3c {
		var known bool
		if o.creation, o.baggage, known = readW3C(md); known {
			return o
		}
	}
	if !t.carriesContext(md) {
		return o
	}
	ctx := t.extract(md)
	o.creation, o.baggage = trace.SpanContextFromContext(ctx), baggage.FromContext(ctx)
	return o
}

// extract reads the trace context and the baggage of metadata.
func (t *Telemetry) extract(md map[string]string) context.Context {
	return t.propagator.Extract(context.Background(), carrier{&md})
}

func (t *Telemetry) carriesContext(md map[string]string) bool {
	for _, name := range t.fields {
		if _, there := md[name]; there {
			return true
		}
	}
	return false
}

// maxPlausible is the longest time that a message can have been on its way; a longer one is a broken header.
const maxPlausible = 30 * 24 * time.Hour

// since returns the time from a header to now. It is not known when the header is missing or cannot be right, and skewed when
// the sender's clock is ahead of ours.
func since(now, then time.Time) (d time.Duration, known, skewed bool) {
	if then.IsZero() {
		return 0, false, false
	}
	d = now.Sub(then)
	switch {
	case d < 0:
		return 0, false, true
	case d > maxPlausible:
		return 0, false, false
	default:
		return d, true, false
	}
}

type hopsKey struct{}

// insideContext is a handler's context: what is sent in it is one hop further.
type insideContext struct {
	context.Context //nolint:containedctx // it is a context

	hops int
}

// Value finds the hops, and what the parent knows.
func (c *insideContext) Value(key any) any {
	if (key == hopsKey{}) {
		return c.hops
	}
	return c.Context.Value(key)
}

// inject writes the creation context sc, that of ctx, of a message that begins its way in ctx.
func (t *Telemetry) inject(ctx context.Context, sc trace.SpanContext, metadata *map[string]string) {
	c := carrier{metadata}
	if t.w3c {
		injectW3C(ctx, sc, c)
	} else {
		t.propagator.Inject(ctx, c)
	}
	if *metadata == nil {
		return
	}
	if wish, ok := ctx.Value(modeKey{}).(async.TraceMode); ok {
		c.Set(transport.MetaTraceMode, modeName(wish))
	}
	if hops, inside := ctx.Value(hopsKey{}).(int); inside {
		c.Set(transport.MetaHops, strconv.Itoa(hops+1))
	}
}

type modeKey struct{}

// ContextWithTraceMode has what is sent in ctx wish for a trace mode, [async.TraceContinue] or [async.TraceLink], which wins over the
// contract's and the receiver's default. A receiver's [async.WithTraceMode] wins over the wish, and who does not trust does not hear it.
func ContextWithTraceMode(ctx context.Context, m async.TraceMode) context.Context {
	if m != async.TraceContinue && m != async.TraceLink {
		return ctx
	}
	return context.WithValue(ctx, modeKey{}, m)
}

// modeOf is the trace mode for a message.
func (p *endpoint) modeOf(o *origin) async.TraceMode {
	switch {
	case p.Chosen || p.mode == async.TraceUntrusted:
		return p.mode
	case o.wish == modeName(async.TraceContinue):
		return async.TraceContinue
	case o.wish == modeName(async.TraceLink):
		return async.TraceLink
	default:
		return p.mode
	}
}

// relation is how a receiver's span stands to a message's origin.
type relation struct {
	parent context.Context
	links  []trace.Link
	mode   async.TraceMode
	hops   int // of the trace that the span is in: none unless it is the creation's
}

// relate decides: an ambient span is the parent, else the creation context where the mode and the guards allow it, else
// nothing is. The creation context is linked in any case; links is room for that.
func (p *endpoint) relate(ctx context.Context, o *origin, attempt int, now time.Time, links []trace.Link) relation {
	mode := p.modeOf(o)
	request := p.Spec.Kind == async.KindRequest
	if request && mode == async.TraceLink {
		mode = async.TraceContinue // a caller waits for this span
	}
	r := relation{parent: ctx, mode: mode, links: links}
	if mode != async.TraceUntrusted && o.baggage.Len() > 0 {
		r.parent = baggage.ContextWithBaggage(r.parent, o.baggage)
	}
	if !o.creation.IsValid() {
		return r
	}
	r.links = append(r.links, p.linked(o.creation, mode))
	if mode != async.TraceContinue || p.guarded(o, attempt, now) {
		return r
	}
	ambient := trace.SpanContextFromContext(ctx)
	if ambient.IsValid() {
		if !request {
			return r
		}
		r.links = append(r.links, trace.Link{SpanContext: ambient})
	}
	r.parent, r.hops = trace.ContextWithRemoteSpanContext(r.parent, o.creation), o.hops
	return r
}

// linked is a link to a context that a message carries. Of a sender that is not trusted no sampling decision is taken over; no
// filter takes away the mark by which samplers know that.
func (p *endpoint) linked(sc trace.SpanContext, mode async.TraceMode, more ...attribute.KeyValue) trace.Link {
	more = p.kept(more)
	if mode == async.TraceUntrusted {
		sc = sc.WithTraceFlags(0).WithTraceState(trace.TraceState{})
		more = append(more, keyLinkUntrusted.Bool(true))
	}
	return trace.Link{SpanContext: sc, Attributes: more}
}

// guarded reports whether a trace has become too old or too long to go on. A retry, a dead letter and a replay belong to the story of
// their message however old that is, and a delayed send grows old from when it is due.
func (p *endpoint) guarded(o *origin, attempt int, now time.Time) bool {
	if p.maxHops > 0 && o.hops >= p.maxHops {
		return true
	}
	if p.maxAge <= 0 || attempt > 1 || o.failed {
		return false
	}
	waiting := o.sent
	if waiting.IsZero() {
		waiting = o.created
	}
	if o.due.After(waiting) {
		waiting = o.due
	}
	age, known, _ := since(now, waiting)
	return known && age > p.maxAge
}

// modeName is the value of async.trace.mode.
func modeName(m async.TraceMode) string {
	switch m {
	case async.TraceLink:
		return "link"
	case async.TraceUntrusted:
		return "untrusted"
	default:
		return "continue"
	}
}
