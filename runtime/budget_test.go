package async_test

import (
	"context"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
)

// TestAMemoryLimitThatDecodingCanExceedIsWarnedOf is not parallel: it sets the memory limit of the process.
func TestAMemoryLimitThatDecodingCanExceedIsWarnedOf(t *testing.T) { //nolint:paralleltest // see above
	// Two handlers at once of single messages, and one of two of them: each may take 150 times the 1 MiB of its payload.
	const budget = (2 + 2) * 150 << 20
	for _, test := range []struct {
		name  string
		limit int64
		warns bool
	}{
		{"exactly enough", budget, false},
		{"one byte too few", budget - 1, true},
	} {
		t.Run(test.name, func(t *testing.T) { //nolint:paralleltest // see above
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(test.limit))
			var logged lockedBuffer
			rt, err := async.Open(t.Context(), async.WithURL("memory://"), async.WithLogger(slog.New(slog.NewJSONHandler(&logged, nil))))
			must(t, err)
			defer func() { must(t, rt.Close()) }()
			orders := ordersv1async.NewOrdersSubscriber(rt)
			must(t, orders.OnShip(ignoreShip, async.WithConcurrency(2)))
			must(t, orders.OnArchiveBatch(func(context.Context, []*async.Delivery[*ordersv1.ArchiveRequest]) error { return nil },
				async.WithBatch(2, time.Second)))
			run(t, rt)
			text := logged.String()
			if warned := strings.Contains(text, `"level":"WARN"`); warned != test.warns {
				t.Fatalf("warned: %t\n%s", warned, text)
			}
			if test.warns && (!strings.Contains(text, "629145600") || !strings.Contains(text, "629145599")) {
				t.Errorf("the warning does not name the product and the limit: %s", text)
			}
		})
	}
}
