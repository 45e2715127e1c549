package asyncotel

import (
	"context"
	"maps"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/internal/hangtest"
	"github.com/asyncpb/async/runtime/transport"
)

// standard is the propagator that this package stands in for.
var standard = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

func TestOnlyTheStandardPropagatorIsStoodInFor(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		propagator propagation.TextMapPropagator
		want       bool
	}{
		"trace context and baggage":         {standard, true},
		"baggage and trace context":         {propagation.NewCompositeTextMapPropagator(propagation.Baggage{}, propagation.TraceContext{}), true},
		"trace context alone":               {propagation.TraceContext{}, false},
		"trace context alone, in a list":    {propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}), false},
		"one more than trace and baggage":   {propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, foreign{}), false},
		"something else that is a list too": {foreignList{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := writesW3C(row.propagator); got != row.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

type foreign struct{ propagation.TextMapPropagator }

type foreignList []propagation.TextMapPropagator

func (foreignList) Inject(context.Context, propagation.TextMapCarrier) {}

func (foreignList) Extract(ctx context.Context, _ propagation.TextMapCarrier) context.Context {
	return ctx
}

func (foreignList) Fields() []string { return nil }

// FuzzReadW3C holds the short way to what the propagator makes of the same headers.
func FuzzReadW3C(f *testing.F) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, seed := range []struct{ parent, state, bag string }{
		{good, "", ""},
		{good, "vendor=x,other=y", "customer=7,tier=gold;since=2020"},
		{good, "not a state", "not;;;a=bag"},
		{"", "vendor=x", "customer=7"},
		{"01" + good[2:], "", ""},
		{"cc" + good[2:] + "-more", "", ""},
		{"00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", "", ""},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", "", ""},
		{good[:53] + "03", "", ""},
		{good[:53] + "ff", "", ""},
		{good[:52] + "x01", "", ""},
	} {
		f.Add(seed.parent, seed.state, seed.bag)
	}
	f.Fuzz(func(t *testing.T, parent, state, bag string) {
		defer hangtest.Watch()()
		md := map[string]string{transport.MetaTraceparent: parent, transport.MetaTracestate: state, transport.MetaBaggage: bag}
		sc, bags, known := readW3C(md)
		if !known {
			return // the propagator reads it
		}
		ctx := standard.Extract(context.Background(), carrier{&md})
		if want := trace.SpanContextFromContext(ctx); !want.Equal(sc) {
			t.Errorf("%q, %q: got %v, want %v", parent, state, sc, want)
		}
		if want := baggage.FromContext(ctx); !maps.Equal(members(want), members(bags)) {
			t.Errorf("%q: got %q, want %q", bag, bags, want)
		}
		// And back.
		ctx = baggage.ContextWithBaggage(trace.ContextWithSpanContext(context.Background(), sc), bags)
		var got, want map[string]string
		injectW3C(ctx, sc, carrier{&got})
		standard.Inject(ctx, carrier{&want})
		// The order of a baggage's members is nobody's.
		for _, written := range []map[string]string{got, want} {
			if text := written[transport.MetaBaggage]; text != "" {
				written[transport.MetaBaggage] = strconv.Itoa(len(text))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("- propagator + ours:\n%s", diff)
		}
	})
}

func TestTheUsualFormIsReadTheShortWay(t *testing.T) {
	t.Parallel()
	if _, _, known := readW3C(map[string]string{transport.MetaTraceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}); !known {
		t.Error("the propagator was asked")
	}
}

func members(b baggage.Baggage) map[string]string {
	all := make(map[string]string)
	for _, m := range b.Members() {
		all[m.Key()] = m.Value() + propertiesOf(m)
	}
	return all
}

func propertiesOf(m baggage.Member) (text string) {
	for _, p := range m.Properties() {
		text += ";" + p.String()
	}
	return text
}
