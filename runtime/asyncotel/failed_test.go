package asyncotel_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

// A replayed dead letter may have lost the context of its creation, and still name the handling that failed: that one is no creation.
func TestWhatFailedIsNotTakenForTheCreation(t *testing.T) {
	const created, failed = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, row := range []struct {
		name, creation string
		links          []string
	}{
		{"with a creation", created, []string{"b7ad6b7169203331"}},
		{"without one", "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			recorder := tracetest.NewSpanRecorder()
			telemetry := asyncotel.New(asyncotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))))
			spec := shipping(async.OrderingUnordered)
			o := telemetry.Observe(async.Endpoint{
				Spec: spec, Transport: memorytransport.New(), Topic: spec.Topic, Subscription: &transport.Subscription{Topic: spec.Topic, Group: spec.Group},
			})
			msg := &message.Message{Metadata: message.Metadata{transport.MetaID: "1", transport.MetaFailedTraceparent: failed}}
			if row.creation != "" {
				msg.Metadata[transport.MetaTraceparent] = row.creation
			}
			handling := o.Process(context.Background(), &async.Receiving{Start: time.Now(), Deliveries: []async.ReceivedDelivery{{Message: msg, Attempt: 1}}})
			o.Settle(&async.Settling{Outcome: transport.Ack, Message: msg, Parent: handling}).End(async.Result{})
			handling.End(async.Result{At: time.Now(), Attempt: 1, Tries: 1, Fate: async.FateAck})

			settled := recorder.Ended()[0]
			var links []string
			for _, l := range settled.Links() {
				links = append(links, l.SpanContext.SpanID().String())
			}
			if len(links) != len(row.links) || len(links) == 1 && links[0] != row.links[0] {
				t.Errorf("%q links to %q, want %q", settled.Name(), links, row.links)
			}
		})
	}
}
