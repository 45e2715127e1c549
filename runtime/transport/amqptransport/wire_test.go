package amqptransport_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/internal/hangtest"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/amqptransport"
)

// TestPlainWatermillAMQPExchangesMessages lets watermill-amqp's own publisher and subscriber talk with the transport.
func TestPlainWatermillAMQPExchangesMessages(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	config := wamqp.NewDurablePubSubConfig(brokerURL(), func(topic string) string { return topic + "--group" })
	config.Exchange.Type = "topic"
	config.Queue.Arguments = groupArguments(s)
	config.QueueBind.GenerateRoutingKey = func(string) string { return "#" }
	config.Publish.ConfirmDelivery = true

	sent := message.NewMessage(watermill.NewUUID(), []byte("payload"))
	sent.Metadata = message.Metadata{"user": "header", transport.MetaType: "acme.Event", transport.MetaContentType: "application/protobuf", "empty": ""}

	publisher, err := wamqp.NewPublisher(config, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	if err := publisher.Publish(s.Topic, sent.Copy()); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
	deliveries, consumption := consume(t, tr, s)
	d := await(t, deliveries, "watermill-amqp's message")
	equal(t, "from watermill-amqp", sent, d.Message())
	if err := settle(t, d, transport.Ack); err != nil {
		t.Fatal(err)
	}
	if err := consumption.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	subscriber, err := wamqp.NewSubscriber(config, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := subscriber.Subscribe(t.Context(), s.Topic)
	if err != nil {
		t.Fatal(err)
	}
	mustSend(t, tr, transport.Publication{Topic: s.Topic, RoutingKey: "acme.Event", Mandatory: true}, sent.Copy())
	got := await(t, messages, "our message at watermill-amqp")
	equal(t, "at watermill-amqp", sent, got)
	got.Ack()
	if err := subscriber.Close(); err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, where string, want, got *message.Message) {
	t.Helper()
	if got.UUID != want.UUID || string(got.Payload) != string(want.Payload) {
		t.Errorf("%s: %q %q, want %q %q", where, got.UUID, got.Payload, want.UUID, want.Payload)
	}
	if diff := cmp.Diff(want.Metadata, got.Metadata); diff != "" {
		t.Errorf("%s: metadata (-want +got):\n%s", where, diff)
	}
}

// TestNativePropertiesAreEnough: a program that knows nothing of Watermill.
func TestNativePropertiesAreEnough(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, consumption := consume(t, tr, s)
	ch := channel(t)
	err := ch.PublishWithContext(t.Context(), s.Topic, "acme.Command", false, false, amqp.Publishing{
		MessageId: "m-1", Type: "acme.Command", ContentType: "application/json", CorrelationId: "c-1", ReplyTo: "answers",
		Timestamp: time.Unix(1_700_000_000, 0), Headers: amqp.Table{"user": "header"}, Body: []byte("{}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := message.NewMessage("m-1", []byte("{}"))
	want.Metadata = message.Metadata{
		"user": "header", transport.MetaID: "m-1", transport.MetaType: "acme.Command", transport.MetaContentType: "application/json",
		transport.MetaCorrelationID: "c-1", transport.MetaReplyTo: "answers", transport.MetaTime: "2023-11-14T22:13:20Z",
	}
	d := await(t, deliveries, "the plain message")
	equal(t, "received", want, d.Message())
	if err := settle(t, d, transport.Ack); err != nil {
		t.Fatal(err)
	}
	if err := consumption.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	answer := message.NewMessage("m-2", []byte("answer"))
	answer.Metadata = message.Metadata{
		transport.MetaType: "acme.Answer", transport.MetaContentType: "application/protobuf", transport.MetaCorrelationID: "c-1",
		transport.MetaReplyTo: "elsewhere", transport.MetaCreatedAt: "1700000000123456789", "x-death": "old", "x-first-death-queue": "old",
	}
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Group: s.Group, Mandatory: true}, answer)
	got, there, err := ch.Get(s.Queue(), true)
	if err != nil || !there {
		t.Fatalf("Get: %v %v", there, err)
	}
	// The queue's own count, which every delivery has.
	delete(got.Headers, "x-delivery-count")
	headers := amqp.Table{
		transport.MetaWatermillUUID: "m-2", transport.MetaType: "acme.Answer", transport.MetaContentType: "application/protobuf",
		transport.MetaCreatedAt: "1700000000123456789",
	}
	if diff := cmp.Diff(headers, got.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	type native struct {
		ID, Type, ContentType, Correlation, ReplyTo string
		Timestamp                                   int64
		Mode                                        uint8
		Expiration                                  string
	}
	if diff := cmp.Diff(
		native{"m-2", "acme.Answer", "application/protobuf", "c-1", "elsewhere", 1_700_000_000, amqp.Persistent, ""},
		native{got.MessageId, got.Type, got.ContentType, got.CorrelationId, got.ReplyTo, got.Timestamp.Unix(), got.DeliveryMode, got.Expiration},
	); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
}

func TestHeadersOfEveryTypeAreConsumed(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	when := time.Unix(1_700_000_000, 0)
	err := channel(t).PublishWithContext(t.Context(), s.Topic, "", false, false, amqp.Publishing{Headers: amqp.Table{
		"bool": true, "int8": int8(-8), "byte": byte(8), "int16": int16(-16), "uint16": uint16(16), "int32": int32(-32), "uint32": uint32(32),
		"int64": int64(math.MinInt64), "float32": float32(1.5), "float64": 0.1, "decimal": amqp.Decimal{Scale: 2, Value: -5},
		"string": "text", "bytes": []byte("bytes"), "binary": []byte{0xff, 0}, "time": when, "void": nil,
		"array": []any{int32(1), "two", []byte("three"), when}, "table": amqp.Table{"inner": amqp.Table{"n": int64(1)}},
		"x-death": []any{amqp.Table{"count": int64(1)}}, "x-first-death-queue": "q",
	}})
	if err != nil {
		t.Fatal(err)
	}
	d := await(t, deliveries, "the message")
	want := message.Metadata{
		"bool": "true", "int8": "-8", "byte": "8", "int16": "-16", "uint16": "16", "int32": "-32", "uint32": "32",
		"int64": "-9223372036854775808", "float32": "1.5", "float64": "0.1", "decimal": "-0.05",
		"string": "text", "bytes": "bytes", "binary": "/wA=", "time": "2023-11-14T22:13:20Z", "void": "",
		"array": `[1,"two","three","2023-11-14T22:13:20Z"]`, "table": `{"inner":{"n":1}}`,
	}
	if diff := cmp.Diff(want, d.Message().Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if err := settle(t, d, transport.Ack); err != nil {
		t.Fatal(err)
	}
}

func TestMarshalerRefusesTheEmptyDeliveryOfAClosedChannel(t *testing.T) {
	t.Parallel()
	if _, err := (amqptransport.Marshaler{}).Unmarshal(amqp.Delivery{}); err == nil {
		t.Error("an empty delivery became a message")
	}
}

// TestHeadersThatNoTextHolds come from brokers other than RabbitMQ, which refuses them.
func TestHeadersThatNoTextHolds(t *testing.T) {
	t.Parallel()
	msg, err := amqptransport.Marshaler{}.Unmarshal(amqp.Delivery{Acknowledger: (*amqp.Channel)(nil), Headers: amqp.Table{
		"list": []any{math.Inf(-1), float32(2.5)}, "number": math.NaN(), "strange": struct{ N int }{7},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(message.Metadata{"list": `["-Inf",2.5]`, "number": "NaN", "strange": "{7}"}, msg.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// FuzzMarshaler: what was marshaled comes back, and any header is text.
func FuzzMarshaler(f *testing.F) {
	f.Add("id", "key", "value", []byte("payload"))
	f.Add("", "x-death", "\x00", []byte(nil))
	f.Add("id", transport.MetaReplyTo, "address", []byte{0xff})
	f.Fuzz(func(t *testing.T, id, key, value string, payload []byte) {
		defer hangtest.Watch()()
		if key == transport.MetaWatermillUUID || strings.HasPrefix(key, "x-") {
			return
		}
		sent := message.NewMessage(id, payload)
		sent.Metadata.Set(key, value)
		p, err := amqptransport.Marshaler{}.Marshal(sent)
		if err != nil {
			return
		}
		got, err := amqptransport.Marshaler{}.Unmarshal(amqp.Delivery{
			Acknowledger: (*amqp.Channel)(nil), Headers: p.Headers, MessageId: p.MessageId, Type: p.Type, ContentType: p.ContentType,
			CorrelationId: p.CorrelationId, ReplyTo: p.ReplyTo, Timestamp: p.Timestamp, Body: p.Body,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got.Metadata[key] != value || (id != "" && got.UUID != id) || string(got.Payload) != string(payload) {
			t.Errorf("got %q %v, want %q %v", got.UUID, got.Metadata, sent.UUID, sent.Metadata)
		}
	})
}
