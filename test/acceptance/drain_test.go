package acceptance_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
)

func TestSIGTERMLetsHandlersFinishAndGivesTheRestBack(t *testing.T) {
	t.Parallel()
	const (
		count    = 100
		handling = 300 * time.Millisecond
		drain    = 10 * time.Second
	)
	r := newRealm(t)
	publisher := ordersv1async.NewOrdersPublisher(r.open(t))
	var ids []string
	for i := range count {
		id := fmt.Sprintf("command-%d", i)
		if err := publisher.Ship(bounded(t), &ordersv1.ShipRequest{OrderId: id, RequestId: id}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	first := launch(t, "first", assignment{Role: "consumer", Namespace: r.name, App: "billing", Handling: handling, Drain: drain})
	first.awaitReady(t)
	eventually(t, "some messages are handled and others are in the hands of handlers", func() bool {
		return len(first.entries(t, entryHandled)) > 0 && len(first.entries(t, entryBegan)) > len(first.entries(t, entryHandled))
	})
	began := time.Now()
	first.signal(t, syscall.SIGTERM)
	first.finish(t)
	took := time.Since(began)
	if took > drain {
		t.Errorf("the process ended %s after SIGTERM, want at most its drain timeout %s", took, drain)
	}
	if aborted := first.entries(t, entryAborted); len(aborted) > 0 {
		t.Errorf("handlers were aborted: %v", aborted)
	}
	if len(first.entries(t, entryEnded)) != 1 {
		t.Error("the process did not end as it should")
	}
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(first.entries(t, entryBegan), first.entries(t, entryHandled), sorted); diff != "" {
		t.Errorf("handlers that began and did not finish (-began +finished):\n%s", diff)
	}
	byFirst := first.entries(t, entryHandled)
	if len(byFirst) == count {
		t.Fatal("everything was handled before SIGTERM: nothing was tested")
	}

	second := launch(t, "second", assignment{Role: "consumer", Namespace: r.name, App: "billing", Handling: time.Millisecond})
	second.awaitReady(t)
	eventually(t, "the second process has handled the rest", func() bool {
		return len(second.entries(t, entryHandled)) >= count-len(byFirst)
	})
	second.signal(t, syscall.SIGTERM)
	second.finish(t)
	if diff := cmp.Diff(ids, append(byFirst, second.entries(t, entryHandled)...), sorted); diff != "" {
		t.Errorf("each command is handled exactly once (-sent +handled):\n%s", diff)
	}
	t.Logf("%d of %d handled before the end, which took %s", len(byFirst), count, took.Round(time.Millisecond))
}

func TestSIGTERMWaitsForTwoHundredHandlers(t *testing.T) {
	t.Parallel()
	const (
		workers  = 200
		count    = workers + 100
		handling = 2 * time.Second
		drain    = 10 * time.Second
	)
	r := newRealm(t)
	publisher := ordersv1async.NewOrdersPublisher(r.open(t))
	var ids []string
	for i := range count {
		id := fmt.Sprintf("command-%d", i)
		if err := publisher.Ship(bounded(t), &ordersv1.ShipRequest{OrderId: id, RequestId: id}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	first := launch(t, "first", assignment{
		Role: "consumer", Namespace: r.name, App: "billing", Handling: handling, Drain: drain, Workers: workers,
	})
	eventually(t, "every worker has a message", func() bool { return len(first.entries(t, entryBegan)) == workers })
	began := time.Now()
	first.signal(t, syscall.SIGTERM)
	first.finish(t)
	took := time.Since(began)
	if limit := drain + time.Second; took > limit {
		t.Errorf("the process ended %s after SIGTERM, want at most %s", took, limit)
	}
	if aborted := first.entries(t, entryAborted); len(aborted) > 0 {
		t.Errorf("handlers were aborted: %v", aborted)
	}
	byFirst := first.entries(t, entryHandled)
	if len(byFirst) != workers {
		t.Errorf("%d handlers finished, want %d", len(byFirst), workers)
	}
	second := launch(t, "second", assignment{Role: "consumer", Namespace: r.name, App: "billing", Handling: time.Millisecond})
	second.awaitReady(t)
	eventually(t, "the second process has handled the rest", func() bool {
		return len(second.entries(t, entryHandled)) >= count-len(byFirst)
	})
	second.signal(t, syscall.SIGTERM)
	second.finish(t)
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(ids, append(byFirst, second.entries(t, entryHandled)...), sorted); diff != "" {
		t.Errorf("each command is handled exactly once (-sent +handled):\n%s", diff)
	}
	t.Logf("%d handlers of %s were at work; the process ended %s after SIGTERM", workers, handling, took.Round(time.Millisecond))
}
