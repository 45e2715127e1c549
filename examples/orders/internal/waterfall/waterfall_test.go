package waterfall_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/examples/orders/internal/waterfall"
)

func TestATraceIsDrawnAndItsPhasesArePrinted(t *testing.T) {
	t.Parallel()
	recorder := new(waterfall.Recorder)
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(recorder)).Tracer("test")
	ctx, order := tracer.Start(context.Background(), "order <1>")
	is := func(operation string) trace.SpanStartOption {
		return trace.WithAttributes(attribute.String("messaging.operation.type", operation))
	}
	ctx, publish := tracer.Start(ctx, "publish demo.shop.v1.Orders.Placed", is("send"))
	publish.End()
	_, process := tracer.Start(ctx, "process demo.shop.v1.Orders.Placed", is("process"))
	process.End()
	order.End()

	drawn := recorder.Trace("order <1>")
	decoder := xml.NewDecoder(strings.NewReader(string(waterfall.SVG(drawn))))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
	}
	for _, want := range []string{"order &lt;1&gt;", ">publish Placed<", ">process Placed<"} {
		if !strings.Contains(string(waterfall.SVG(drawn)), want) {
			t.Errorf("%s is not in the picture", want)
		}
	}
	var out strings.Builder
	drawn.Table(console.New(&out))
	if !strings.Contains(out.String(), "process Placed") || !strings.Contains(out.String(), "T_queue") {
		t.Errorf("printed:\n%s", out.String())
	}
	if strings.Contains(string(waterfall.SVG(recorder.Trace("nothing"))), "<text") {
		t.Error("a trace that is not there was drawn")
	}
}

func TestRetriesAndDeadLettersAreCalledSo(t *testing.T) {
	t.Parallel()
	recorder := new(waterfall.Recorder)
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(recorder)).Tracer("test")
	ctx, order := tracer.Start(context.Background(), "order 1")
	of := func(operation string, more ...attribute.KeyValue) trace.SpanStartOption {
		return trace.WithAttributes(append(more, attribute.String("messaging.operation.type", operation), attribute.String("messaging.message.id", "m"))...)
	}
	handled := func(attempt int, outcome string) trace.SpanStartOption {
		return of("process", attribute.Int("async.delivery.attempt", attempt), attribute.String("async.settle.outcome", outcome))
	}
	first, process := tracer.Start(ctx, "process demo.Orders.Ship", handled(1, "retry"))
	_, retry := tracer.Start(first, "publish demo.Orders.Ship", of("send"))
	retry.End()
	process.End()
	second, process := tracer.Start(ctx, "process demo.Orders.Ship", handled(2, "dead_letter"))
	_, dead := tracer.Start(second, "publish demo.Orders.Ship--shop--dead", of("send"))
	dead.End()
	process.End()
	order.End()
	story := recorder.Trace("order 1")
	part := string(waterfall.SVG(story.Part("process Ship, attempt 2"), story.Part("nothing")))
	if !strings.Contains(part, ">dead letter Ship<") || strings.Contains(part, ">retry Ship<") {
		t.Errorf("the part of the second attempt is\n%s", part)
	}
	picture := string(waterfall.SVG(story))
	for _, want := range []string{">process Ship<", ">retry Ship<", ">process Ship, attempt 2<", ">dead letter Ship<", ">failed<"} {
		if !strings.Contains(picture, want) {
			t.Errorf("%s is not in the picture", want)
		}
	}
}
