package asyncotel_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/runtime/asyncotel"
)

func TestMessageIDsOnSpansAndLinks(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		opts []asyncotel.Option
		want bool
	}{
		"are there":          {nil, true},
		"are not, on demand": {[]asyncotel.Option{asyncotel.WithoutMessageID()}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both := func(ctx context.Context, t *trip) error {
				if err := ship(ctx, t); err != nil {
					return err
				}
				return t.orders.ShipBatch(ctx, []*ordersv1.ShipRequest{{OrderId: "A-2"}, {OrderId: "A-3"}})
			}
			done := mustTravel(t, both, 0, 3, row.opts...)
			on := map[string]int{}
			for _, s := range done.spans {
				set := attribute.NewSet(s.Attributes()...)
				if set.HasValue("messaging.message.id") {
					on["span"]++
				}
				for _, l := range s.Links() {
					linked := attribute.NewSet(l.Attributes...)
					if linked.HasValue("messaging.message.id") {
						on["link"]++
					}
				}
			}
			if (on["span"] > 0) != row.want || (on["link"] > 0) != row.want {
				t.Errorf("ids are on %d spans and on %d links", on["span"], on["link"])
			}
		})
	}
}
