package acceptance_test

import (
	"context"
	"errors"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
)

// count is the sum of a counter over all of its streams.
func count(t *testing.T, reader sdkmetric.Reader, name string) (n int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(bounded(t), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, p := range sum.DataPoints {
					n += p.Value
				}
			}
		}
	}
	return n
}

func TestWhatRaisesAnAlarmIsCounted(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	reader := sdkmetric.NewManualReader()
	rt := r.open(t, async.WithApp("billing"), async.WithTelemetry(asyncotel.New(asyncotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))))
	err := ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(context.Context, *ordersv1.OrderPlaced) error {
		return async.Reject(errors.New("no"))
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, rt)
	queue := r.queue(ordersv1async.OrderEventsPlacedTopic, "billing")
	alarms := func() (failures, interruptions int64) {
		return count(t, reader, "async.message.dead_letter_failures"), count(t, reader, "async.consume.interruptions")
	}
	if failures, interruptions := alarms(); failures != 0 || interruptions != 0 || rt.Stats() != (async.Stats{}) {
		t.Fatalf("at the start %d failures and %d interruptions are counted: %+v", failures, interruptions, rt.Stats())
	}

	if _, err := r.ch.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss of the queue is counted", func() bool {
		_, interruptions := alarms()
		return interruptions == 1 && rt.Stats().Interruptions == 1
	})
	eventually(t, "the queue is consumed again", func() bool {
		q, err := dial(t).QueueDeclarePassive(queue, true, false, false, false, nil)
		return err == nil && q.Consumers == 1
	})

	if _, err := r.ch.QueueDelete(queue+"--dead", false, false, false); err != nil {
		t.Fatal(err)
	}
	full := amqp.Table{amqp.QueueMaxLenArg: 0, amqp.QueueOverflowArg: amqp.QueueOverflowRejectPublish}
	if _, err := r.ch.QueueDeclare(queue+"--dead", true, false, false, false, full); err != nil {
		t.Fatal(err)
	}
	if err := ordersv1async.NewOrderEventsPublisher(r.open(t)).Placed(bounded(t), &ordersv1.OrderPlaced{OrderId: "o-1"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refused dead letter is counted", func() bool {
		failures, _ := alarms()
		return failures > 0 && rt.Stats().DeadLetterFailures > 0 && rt.Stats().DeadLettered == 0
	})
	if _, err := r.ch.QueueDelete(queue+"--dead", false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dead letter is stored", func() bool { return rt.Stats().DeadLettered == 1 })
}
