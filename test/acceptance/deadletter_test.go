package acceptance_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/test/acceptance/internal/stranger"
)

func TestWhatFailsForGoodIsADeadLetterThatAStrangerCanRead(t *testing.T) {
	t.Parallel()
	const placed = "acme.orders.v1.OrderPlaced"
	payload := func(id string) []byte {
		data, err := proto.Marshal(&ordersv1.OrderPlaced{OrderId: id})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, test := range map[string]struct {
		messageType string
		payload     []byte
		reason      string
		text        string
	}{
		"rejected by the handler":  {placed, payload("bad"), "rejected", "no such customer"},
		"bytes of something else":  {placed, []byte{0xff, 0xff}, "undecodable", ""},
		"a type of somebody else":  {"acme.orders.v1.ShipRequest", payload("good"), "wrong-type", ""},
		"more than it may measure": {placed, payload(string(bytes.Repeat([]byte{'x'}, 2000))), "too-large", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRealm(t)
			path := writeFile(t, "async.yaml", "version: 1\ndefaults: {max_message_bytes: 1KiB}\n")
			rt := r.open(t, async.WithApp("billing"), async.WithConfigFile(path))
			err := ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(_ context.Context, e *ordersv1.OrderPlaced) error {
				if e.GetOrderId() == "bad" {
					return async.Reject(errors.New("no such customer"))
				}
				t.Errorf("the handler was called with %v", e)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			start(t, rt)
			s := r.stranger(t)
			topic := r.topic(ordersv1async.OrderEventsPlacedTopic)
			if err := s.PublishAs(bounded(t), topic, "event-1", test.messageType, test.payload); err != nil {
				t.Fatal(err)
			}
			deliveries, err := s.Consume(topic + "--billing--dead")
			if err != nil {
				t.Fatal(err)
			}
			d := await(t, deliveries, "the dead letter")
			if err := d.Ack(false); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(d.Body, test.payload) {
				t.Errorf("the payload is %q, want it as it came", d.Body)
			}
			for name, want := range map[string]string{
				"ce-id": "event-1", "ce-type": test.messageType, "ce-source": "stranger", "async-attempt": "1",
				"async-dead-reason": test.reason, "async-dead-topic": topic, "async-dead-group": "billing",
			} {
				if have := stranger.Header(&d, name); have != want {
					t.Errorf("header %s is %q, want %q", name, have, want)
				}
			}
			if text := stranger.Header(&d, "async-dead-error"); text == "" || test.text != "" && text != test.text {
				t.Errorf("async-dead-error is %q, want %q", text, test.text)
			}
			for _, name := range []string{"async-dead-at", "async-dead-first-at"} {
				if stranger.Header(&d, name) == "" {
					t.Errorf("header %s is missing", name)
				}
			}
			eventually(t, "the queue is empty", func() bool {
				waiting, _ := r.inspect(t, topic+"--billing")
				return waiting == 0 && rt.Stats().DeadLettered == 1
			})
		})
	}
}
