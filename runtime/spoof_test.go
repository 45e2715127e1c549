package async_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// reservedNames are headers that say what a message is, and that brokers and Watermill write.
var reservedNames = []string{
	transport.MetaID, transport.MetaType, transport.MetaSource, transport.MetaKey, "ce-anything", transport.MetaAttempt, transport.MetaDeadline,
	transport.MetaReplyTo, transport.MetaCorrelationID, transport.MetaStatus, transport.MetaEncoding, transport.MetaDelayTarget, transport.MetaDeadTopic,
	transport.MetaDeadGroup, transport.MetaHops, "async-mv-tenant", "async-h-tenant", "async-anything", "x-death", "x-death-count",
	"x-first-death-queue", transport.MetaWatermillUUID, "_watermill_anything", transport.MetaTraceparent, transport.MetaTracestate, transport.MetaBaggage,
}

// TestReservedHeadersAreNoUsers: nobody can set them by an option, and a handler sees none of them among the user's.
func TestReservedHeadersAreNoUsers(t *testing.T) {
	forEach(t, func(t *testing.T, w *world) {
		rt := w.open(t)
		type seen struct {
			info async.Info
			err  error
		}
		got := make(chan seen, 1)
		must(t, ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, _ *ordersv1.ShipRequest) error {
			info, _ := async.InfoFrom(ctx)
			got <- seen{info: *info, err: async.SetReplyHeader(ctx, "a", "b")}
			return nil
		}))
		run(t, rt)
		publisher := ordersv1async.NewOrdersPublisher(rt)
		for _, name := range reservedNames {
			for _, spelling := range []string{name, strings.ToUpper(name)} {
				err := publisher.Ship(t.Context(), &ordersv1.ShipRequest{}, async.WithHeader(spelling, "spoofed"))
				if !errors.Is(err, async.ErrInvalid) || !strings.Contains(err.Error(), "reserved") {
					t.Errorf("the header %s: %v", spelling, err)
				}
				if !async.ReservedHeader(spelling) {
					t.Errorf("ReservedHeader does not know %s", spelling)
				}
			}
		}
		md := map[string]string{"tenant": "blue"}
		for _, name := range reservedNames {
			md[name] = "spoofed"
		}
		maps.Copy(md, map[string]string{
			transport.MetaID: "id-1", transport.MetaType: "acme.orders.v1.ShipRequest", transport.MetaAttempt: "-5", transport.MetaDeadline: "soon",
			"async-mv-ce-id": `["x"]`, "async-mv-async-attempt": `["9"]`, "async-mv-broken": `{"a":`,
		})
		delete(md, transport.MetaEncoding)
		delete(md, transport.MetaWatermillUUID)
		w.inject(t, transport.Publication{Topic: w.topic(ordersv1async.OrdersShipTopic), RoutingKey: "acme.orders.v1.ShipRequest"}, "id-1", nil, md)
		in := next(t, got)
		delete(in.info.Headers, "tenant")
		if diff := cmp.Diff(async.Headers{}, in.info.Headers); diff != "" {
			t.Errorf("headers of the user beside tenant (-want +got):\n%s", diff)
		}
		if in.info.Attempt != 1 || !in.info.Deadline.IsZero() || in.info.ID != "id-1" || in.err == nil {
			t.Errorf("what cannot be read is believed: %+v, %v", in.info, in.err)
		}
	})
}
