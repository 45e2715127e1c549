package acceptance_test

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/test/acceptance/internal/stranger"
)

// received is what a handler of ours was called with.
type received struct {
	msg  proto.Message
	info async.Info
}

func receive(ctx context.Context, msg proto.Message, to chan<- received) error {
	info, _ := async.InfoFrom(ctx)
	to <- received{msg: proto.Clone(msg), info: *info}
	return nil
}

func equal(t *testing.T, what string, got, want proto.Message) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// takeFrom waits for a delivery of the stranger's, checks its metadata and acknowledges it.
func takeFrom(t *testing.T, deliveries <-chan amqp.Delivery, msg proto.Message) amqp.Delivery {
	t.Helper()
	d := await(t, deliveries, "a delivery to the stranger")
	if err := stranger.Read(&d, msg); err != nil {
		t.Errorf("the message is not what docs/wire.md says: %v", err)
	}
	if err := d.Ack(false); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheStrangerKnowsNothingOfOurRuntime(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("internal/stranger/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of the stranger: %v", err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case !strings.Contains(path, "."), path == "github.com/rabbitmq/amqp091-go", strings.HasPrefix(path, "google.golang.org/protobuf/"):
			default:
				t.Errorf("%s imports %s: the stranger is written with a plain AMQP client and protobuf alone", name, path)
			}
		}
	}
}

func TestAStrangersEventReachesAGeneratedSubscriber(t *testing.T) {
	t.Parallel()
	event := &ordersv1.OrderPlaced{OrderId: "o-1", Cents: 1250}
	for name, test := range map[string]struct {
		send    func(ctx context.Context, s *stranger.Stranger, topic string) error
		attempt int
	}{
		"with all metadata": {func(ctx context.Context, s *stranger.Stranger, topic string) error {
			return s.Publish(ctx, topic, "event-1", event)
		}, 1},
		"with native properties alone": {func(ctx context.Context, s *stranger.Stranger, topic string) error {
			return s.PublishBare(ctx, topic, "event-1", event)
		}, 1},
		"as JSON": {func(ctx context.Context, s *stranger.Stranger, topic string) error {
			return s.PublishJSON(ctx, topic, "event-1", event)
		}, 1},
		"as a retry": {func(ctx context.Context, s *stranger.Stranger, topic string) error {
			return s.PublishAgain(ctx, topic, "event-1", 3, event)
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRealm(t)
			rt := r.open(t, async.WithApp("billing"))
			got := make(chan received, 1)
			if err := ordersv1async.NewOrderEventsSubscriber(rt).OnPlaced(func(ctx context.Context, e *ordersv1.OrderPlaced) error {
				return receive(ctx, e, got)
			}); err != nil {
				t.Fatal(err)
			}
			start(t, rt)
			if err := test.send(bounded(t), r.stranger(t), r.topic(ordersv1async.OrderEventsPlacedTopic)); err != nil {
				t.Fatal(err)
			}
			in := await(t, got, "the event")
			equal(t, "the event", in.msg, event)
			if in.info.ID != "event-1" || in.info.Type != "acme.orders.v1.OrderPlaced" || in.info.Attempt != test.attempt || in.info.Group != "billing" {
				t.Errorf("the info is %+v", in.info)
			}
		})
	}
}

func TestAGeneratedPublishersEventReachesAStranger(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	s := r.stranger(t)
	queue, err := s.DeclareGroup(r.topic(ordersv1async.OrderEventsPlacedTopic), "stranger", false)
	if err != nil {
		t.Fatal(err)
	}
	deliveries, err := s.Consume(queue)
	if err != nil {
		t.Fatal(err)
	}
	event := &ordersv1.OrderPlaced{OrderId: "o-2", Cents: 99, Tenant: "acme"}
	publisher := ordersv1async.NewOrderEventsPublisher(r.open(t, async.WithApp("shop")))
	err = publisher.Placed(bounded(t), event, async.WithMessageID("event-2"), async.WithTTL(time.Hour),
		async.WithHeader("color", "red"), async.WithHeader("size", "s"), async.WithHeader("size", "m"))
	if err != nil {
		t.Fatal(err)
	}
	got := new(ordersv1.OrderPlaced)
	d := takeFrom(t, deliveries, got)
	equal(t, "the event", got, event)
	if d.Exchange != r.topic(ordersv1async.OrderEventsPlacedTopic) || d.RoutingKey != "acme.orders.v1.OrderPlaced" {
		t.Errorf("sent to %q with %q", d.Exchange, d.RoutingKey)
	}
	for name, want := range map[string]string{
		"ce-id": "event-2", "ce-source": "shop", "ce-partitionkey": "o-2", "ce-subject": "o-2",
		"tenant": "acme", "color": "red", "async-mv-size": `["s","m"]`, "async-attempt": "",
	} {
		if have := stranger.Header(&d, name); have != want {
			t.Errorf("header %s is %q, want %q", name, have, want)
		}
	}
	until, err := strconv.ParseInt(stranger.Header(&d, "async-deadline"), 10, 64)
	if left := time.Until(time.Unix(0, until)); err != nil || left > time.Hour || left < time.Hour-patience {
		t.Errorf("async-deadline %q is %s away, want an hour", stranger.Header(&d, "async-deadline"), left)
	}
	for name, value := range d.Headers {
		if _, text := value.(string); !text {
			t.Errorf("header %s is a %T, want a long string", name, value)
		}
	}
}

func TestAStrangersCommandReachesAGeneratedHandler(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	rt := r.open(t)
	got := make(chan received, 1)
	if err := ordersv1async.NewOrdersSubscriber(rt).OnShip(func(ctx context.Context, c *ordersv1.ShipRequest) error {
		return receive(ctx, c, got)
	}); err != nil {
		t.Fatal(err)
	}
	start(t, rt)
	command := &ordersv1.ShipRequest{OrderId: "o-3", RequestId: "r-3"}
	if err := r.stranger(t).Publish(bounded(t), r.topic(ordersv1async.OrdersShipTopic), "r-3", command); err != nil {
		t.Fatal(err)
	}
	in := await(t, got, "the command")
	equal(t, "the command", in.msg, command)
	if in.info.ID != "r-3" || in.info.Source != "stranger" || in.info.Group != "orders" || in.info.CreatedAt.IsZero() {
		t.Errorf("the info is %+v", in.info)
	}
}

func TestAGeneratedPublishersCommandWaitsForAStranger(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	command := &ordersv1.ShipRequest{OrderId: "o-4", RequestId: "r-4"}
	if err := ordersv1async.NewOrdersPublisher(r.open(t)).Ship(bounded(t), command); err != nil {
		t.Fatal(err)
	}
	s := r.stranger(t)
	queue, err := s.DeclareGroup(r.topic(ordersv1async.OrdersShipTopic), "orders", false)
	if err != nil {
		t.Fatal(err)
	}
	deliveries, err := s.Consume(queue)
	if err != nil {
		t.Fatal(err)
	}
	got := new(ordersv1.ShipRequest)
	d := takeFrom(t, deliveries, got)
	equal(t, "the command", got, command)
	if id := stranger.Header(&d, "ce-id"); id != "r-4" {
		t.Errorf("ce-id is %q, want the annotated message id r-4", id)
	}
	if source := stranger.Header(&d, "ce-source"); source != "acme.orders.v1.Orders" {
		t.Errorf("ce-source is %q, want the service, since the sender has no name", source)
	}
}

func TestAStrangerCallsAGeneratedHandler(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	rt := r.open(t)
	err := ordersv1async.NewOrdersSubscriber(rt).OnQuote(func(ctx context.Context, q *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
		if q.GetSku() == "unknown" {
			return nil, async.NewError(async.CodeNotFound, "no such sku")
		}
		return &ordersv1.QuoteResponse{Cents: int64(q.GetQuantity()) * 5}, async.SetReplyHeader(ctx, "price-list", "2026")
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, rt)
	s := r.stranger(t)
	replies := r.topic("async.reply.stranger")

	d, err := s.Call(bounded(t), r.topic(ordersv1async.OrdersQuoteTopic), replies, "call-1", &ordersv1.QuoteRequest{Sku: "nut", Quantity: 3})
	if err != nil {
		t.Fatal(err)
	}
	reply := new(ordersv1.QuoteResponse)
	if err := stranger.Read(d, reply); err != nil {
		t.Errorf("the reply is not what docs/wire.md says: %v", err)
	}
	equal(t, "the reply", reply, &ordersv1.QuoteResponse{Cents: 15})
	if status, header := stranger.Header(d, "async-status"), stranger.Header(d, "async-h-price-list"); status != "0" || header != "2026" {
		t.Errorf("async-status is %q and the reply header %q, want 0 and 2026", status, header)
	}

	d, err = s.Call(bounded(t), r.topic(ordersv1async.OrdersQuoteTopic), replies, "call-2", &ordersv1.QuoteRequest{Sku: "unknown"})
	if err != nil {
		t.Fatal(err)
	}
	if status := stranger.Header(d, "async-status"); status != "5" {
		t.Errorf("async-status is %q, want 5", status)
	}
	failure := new(statuspb.Status)
	if err := stranger.Read(d, failure); err != nil {
		t.Errorf("the error reply is not what docs/wire.md says: %v", err)
	}
	equal(t, "the status", failure, &statuspb.Status{Code: 5, Message: "no such sku"})

	d, err = s.CallAs(bounded(t), r.topic(ordersv1async.OrdersQuoteTopic), replies, "call-3", "acme.orders.v1.QuoteRequest", []byte{0xff})
	if err != nil {
		t.Fatal(err)
	}
	if status := stranger.Header(d, "async-status"); status != "3" {
		t.Errorf("async-status of bytes that are no request is %q, want 3", status)
	}
	eventually(t, "the bytes that are no request are a dead letter", func() bool {
		dead, _ := r.inspect(t, r.queue(ordersv1async.OrdersQuoteTopic, "orders")+"--dead")
		return dead == 1
	})
}

func TestAGeneratedPublisherSpeaksJSONToAStranger(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	path := writeFile(t, "async.yaml", "version: 1\nbindings:\n  acme.orders.v1.Orders/Ship: {codec: protojson}\n")
	command := &ordersv1.ShipRequest{OrderId: "o-5", RequestId: "r-5"}
	if err := ordersv1async.NewOrdersPublisher(r.open(t, async.WithConfigFile(path))).Ship(bounded(t), command); err != nil {
		t.Fatal(err)
	}
	deliveries, err := r.stranger(t).Consume(r.queue(ordersv1async.OrdersShipTopic, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	d := await(t, deliveries, "the command")
	if d.ContentType != "application/json" || stranger.Header(&d, "ce-datacontenttype") != "application/json" {
		t.Errorf("the content type is %q, want application/json", d.ContentType)
	}
	got := new(ordersv1.ShipRequest)
	if err := errors.Join(protojson.Unmarshal(d.Body, got), d.Ack(false)); err != nil {
		t.Fatal(err)
	}
	equal(t, "the command", got, command)
}

func TestAGeneratedClientCallsAStranger(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	s := r.stranger(t)
	queue, err := s.DeclareGroup(r.topic(ordersv1async.OrdersQuoteTopic), "orders", false)
	if err != nil {
		t.Fatal(err)
	}
	requests, err := s.Consume(queue)
	if err != nil {
		t.Fatal(err)
	}
	client := ordersv1async.NewOrdersClient(r.open(t))

	call := client.QuoteAsync(bounded(t), &ordersv1.QuoteRequest{Sku: "nut", Quantity: 4})
	request := new(ordersv1.QuoteRequest)
	d := takeFrom(t, requests, request)
	equal(t, "the request", request, &ordersv1.QuoteRequest{Sku: "nut", Quantity: 4})
	if d.ReplyTo == "" || d.CorrelationId == "" || stranger.Header(&d, "async-deadline") == "" {
		t.Errorf("a request lacks reply-to %q, correlation-id %q or async-deadline", d.ReplyTo, d.CorrelationId)
	}
	if err := s.Reply(bounded(t), &d, 0, &ordersv1.QuoteResponse{Cents: 20}); err != nil {
		t.Fatal(err)
	}
	reply, err := call.Wait(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the reply", reply, &ordersv1.QuoteResponse{Cents: 20})

	call = client.QuoteAsync(bounded(t), &ordersv1.QuoteRequest{Sku: "unknown"})
	d = takeFrom(t, requests, new(ordersv1.QuoteRequest))
	if err := s.Reply(bounded(t), &d, 9, &statuspb.Status{Code: 9, Message: "closed today"}); err != nil {
		t.Fatal(err)
	}
	_, err = call.Wait(bounded(t))
	if failure := remote(t, err); failure.Code != async.CodeFailedPrecondition || failure.Message != "closed today" || !failure.Remote() {
		t.Errorf("the call's error is %#v", failure)
	}
}
