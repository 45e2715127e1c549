package otelcheck_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/otelcheck"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/asyncotel"
	"github.com/asyncpb/async/runtime/asyncotel/linksampler"
	"github.com/asyncpb/async/runtime/transport"
)

// elsewhere is the creation context of a message that another program sent, in a trace that is sampled.
const elsewhere = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

type scenario struct {
	name  string
	setup setup
	play  func(l *lab)
}

// arranged are the phases of the scenario of that name.
var arranged = map[string]time.Duration{"send": 50 * time.Millisecond, "queue": 200 * time.Millisecond, "process": 100 * time.Millisecond}

var errLate = errors.New("the ferry is late")

func scenarios() []scenario {
	return append(sending(), handling()...)
}

// sending are scenarios of senders.
func sending() []scenario {
	return []scenario{
		{"sync", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Sync"))
			l.on(s, nil)
			stop := l.run(context.Background())
			ctx, end := l.caller()
			l.must(l.send(ctx, s, "m-1"))
			end()
			l.await(1)
			stop()
		}},
		{"async", setup{tap: func(t *otelcheck.Tap) { t.ConfirmAfter = 50 * time.Millisecond }}, func(l *lab) {
			s := l.uses(spec(async.KindEvent, "Async"))
			l.on(s, nil)
			stop := l.run(context.Background())
			receipt := async.NewPublisher[*ordersv1.ShipRequest](l.rt, s).SendAsync(context.Background(), &ordersv1.ShipRequest{OrderId: "1"}, async.WithMessageID("m-1"))
			l.facts.Returned["m-1"] = time.Now()
			l.facts.Messages++
			l.must(receipt.Wait(l.t.Context()))
			l.await(1)
			stop()
		}},
		{"phases", setup{tap: func(t *otelcheck.Tap) { t.ConfirmAfter = arranged["send"] }}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Phases"))
			l.on(s, func(context.Context, int) error {
				<-time.After(arranged["process"])
				return nil
			})
			l.must(l.send(context.Background(), s, "m-1"))
			<-time.After(arranged["queue"])
			stop := l.run(context.Background())
			l.await(1)
			stop()
		}},
		{"own", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Own"))
			l.on(s, nil)
			stop := l.run(context.Background())
			own := async.WithInterceptors(async.Interceptor{Send: func(next async.SendFunc) async.SendFunc {
				return func(ctx context.Context, out *async.Outgoing) *async.Receipt {
					out.Metadata = map[string]string{transport.MetaTraceparent: elsewhere}
					return next(ctx, out)
				}
			}})
			l.must(l.send(context.Background(), s, "m-1", own))
			l.await(1)
			stop()
		}},
		{"batch", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Batch"))
			l.on(s, nil)
			stop := l.run(context.Background())
			msgs := []*ordersv1.ShipRequest{{OrderId: "1"}, {OrderId: "2"}, {OrderId: "3"}}
			l.must(async.NewPublisher[*ordersv1.ShipRequest](l.rt, s).SendBatch(context.Background(), msgs))
			l.facts.Messages += len(msgs)
			l.await(len(msgs))
			stop()
		}},
		{"refused", setup{}, func(l *lab) {
			s := spec(async.KindCommand, "Refused")
			l.facts.Messages++
			l.facts.Fails = true
			if err := async.NewPublisher[*ordersv1.ShipRequest](l.rt, s).Send(context.Background(), nil); !errors.Is(err, async.ErrInvalid) {
				l.t.Errorf("got %v", err)
			}
		}},
		{"unroutable", setup{}, func(l *lab) {
			s := spec(async.KindRequest, "Nobody")
			l.facts.Messages++
			l.facts.Fails = true
			_, err := async.NewClient[*ordersv1.ShipRequest, *ordersv1.QuoteResponse](l.rt, s).Call(context.Background(), &ordersv1.ShipRequest{}, async.WithMessageID("m-1"))
			if !errors.Is(err, async.ErrUnroutable) {
				l.t.Errorf("got %v", err)
			}
		}},
		{"abandoned", setup{tap: func(t *otelcheck.Tap) { t.Hold = true }, options: []async.Option{async.WithDrainTimeout(200 * time.Millisecond)}}, func(l *lab) {
			s := spec(async.KindEvent, "Abandoned")
			l.facts.Messages++
			l.facts.Fails = true
			async.NewPublisher[*ordersv1.ShipRequest](l.rt, s).SendAsync(context.Background(), &ordersv1.ShipRequest{}, async.WithMessageID("m-1"))
			if err := l.rt.Close(); err == nil {
				l.t.Error("the close has waited")
			}
		}},
		{"request", setup{}, func(l *lab) { l.request(nil) }},
		{"request fails", setup{}, func(l *lab) {
			l.facts.Fails = true
			l.request(async.NewError(async.CodeNotFound, "nothing"))
		}},
		{"without SDK", setup{bare: true}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Bare"))
			l.on(s, nil)
			stop := l.run(context.Background())
			sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
			l.facts.Caller = sc
			l.must(l.send(trace.ContextWithRemoteSpanContext(context.Background(), sc), s, "m-1"))
			l.await(1)
			stop()
			l.facts.Allocations = allocations
		}},
		{"ratio", setup{
			sampler:   linksampler.New(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1))),
			telemetry: []asyncotel.Option{asyncotel.WithTraceMode(async.TraceLink), asyncotel.WithoutSettleSpans()},
		}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Ratio"))
			l.on(s, nil)
			stop := l.run(context.Background())
			l.facts.Ratio, l.facts.Mode = true, "link"
			const n = 200
			for i := range n {
				l.must(l.send(context.Background(), s, "m-"+strconv.Itoa(i)))
			}
			l.await(n)
			stop()
			clear(l.facts.Returned)
		}},
	}
}

// added is how many allocations telemetry adds to the calls of its observers for one message.
func added() float64 {
	s := spec(async.KindCommand, "Counted")
	telemetry := asyncotel.New()
	broker, err := transport.Default.Open(context.Background(), transport.Config{URL: transport.URL{Scheme: "memory"}})
	if err != nil {
		return -1
	}
	defer broker.Close(context.Background())
	send := telemetry.Observe(async.Endpoint{Spec: s, Transport: broker, Topic: "t"})
	receive := telemetry.Observe(async.Endpoint{Spec: s, Transport: broker, Topic: "t", Subscription: &transport.Subscription{Topic: "t", Group: "g"}})
	out := &async.Outgoing{Spec: s, ID: "1"}
	return testing.AllocsPerRun(100, func() {
		ctx := context.Background()
		send.Send(ctx, &async.Sending{Outgoing: out, Start: time.Now()})
		in := &async.Receiving{Start: time.Now(), Deliveries: []async.ReceivedDelivery{{Message: newMessage(), Attempt: 1}}}
		receive.Process(ctx, in)
		receive.Settle(&async.Settling{Outcome: transport.Ack, Message: in.Deliveries[0].Message})
	})
}

func (l *lab) request(answer error) {
	s := l.uses(spec(async.KindRequest, "Quote"))
	l.must(async.HandleRequest(l.rt, s, func(ctx context.Context, _ *ordersv1.ShipRequest) (*ordersv1.QuoteResponse, error) {
		l.saw(ctx)
		return new(ordersv1.QuoteResponse), answer
	}))
	stop := l.run(context.Background())
	l.facts.Messages++
	_, err := async.NewClient[*ordersv1.ShipRequest, *ordersv1.QuoteResponse](l.rt, s).Call(context.Background(), &ordersv1.ShipRequest{}, async.WithMessageID("m-1"))
	if (err == nil) != (answer == nil) {
		l.t.Errorf("got %v, want %v", err, answer)
	}
	l.quiet()
	stop()
}

// handling are scenarios of receivers.
func handling() []scenario {
	return []scenario{
		{"pull", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Pull"))
			l.must(l.send(context.Background(), s, "m-1"))
			sub := async.NewSubscriber[*ordersv1.ShipRequest](l.rt, s)
			d, err := sub.Receive(context.Background())
			l.must(err)
			l.facts.Receives++
			ctx, end := l.caller()
			l.facts.Ambient = trace.SpanContextFromContext(ctx)
			l.must(d.Process(ctx, func(ctx context.Context, _ *ordersv1.ShipRequest) error {
				l.saw(ctx)
				return nil
			}))
			end()
		}},
		{"batch handler", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "BatchHandler"))
			for _, id := range []string{"m-1", "m-2", "m-3"} {
				l.must(l.send(context.Background(), s, id))
			}
			l.must(async.NewSubscriber[*ordersv1.ShipRequest](l.rt, s, async.WithBatch(3, patience)).OnBatch(func(ctx context.Context, all []*async.Delivery[*ordersv1.ShipRequest]) error {
				l.saw(ctx)
				for range all {
					l.handled <- struct{}{}
				}
				return nil
			}))
			stop := l.run(context.Background())
			l.await(3)
			stop()
		}},
		{"retried", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Retried"))
			l.facts.Fails = true
			l.on(s, func(_ context.Context, calls int) error {
				if calls < 2 {
					return errLate
				}
				return nil
			})
			stop := l.run(context.Background())
			l.must(l.send(context.Background(), s, "m-1"))
			l.await(3)
			stop()
		}},
		{"in process", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "InProcess"))
			s.Policy.Retry.Immediate, l.facts.Immediate = new(uint32(1)), 1
			l.on(s, func(_ context.Context, calls int) error {
				if calls == 0 {
					return errLate
				}
				return nil
			})
			stop := l.run(context.Background())
			l.must(l.send(context.Background(), s, "m-1"))
			l.await(2)
			stop()
		}},
		{"dead and replayed", setup{}, (*lab).dieAndReplay},
		{"redelivered", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Redelivered"))
			l.must(l.send(context.Background(), s, "m-1"))
			l.must(l.send(context.Background(), s, "m-2"))
			sub := async.NewSubscriber[*ordersv1.ShipRequest](l.rt, s)
			process := func(d *async.Delivery[*ordersv1.ShipRequest]) {
				l.facts.Receives++
				l.must(d.Process(context.Background(), func(ctx context.Context, _ *ordersv1.ShipRequest) error {
					l.saw(ctx)
					return nil
				}))
			}
			for d, err := range sub.All(context.Background()) {
				l.must(err)
				l.until(func() bool { return l.received() == 2 })
				process(d)
				break // what was fetched and not yielded goes back
			}
			d, err := sub.Receive(context.Background())
			l.must(err)
			process(d)
		}},
		{"chain", setup{}, func(l *lab) {
			first, second := l.uses(spec(async.KindCommand, "First")), l.uses(spec(async.KindEvent, "Second"))
			l.on(first, func(ctx context.Context, _ int) error { return l.send(ctx, second, "m-2") })
			l.on(second, nil)
			stop := l.run(context.Background())
			l.must(l.send(context.Background(), first, "m-1"))
			l.await(2)
			stop()
		}},
		{"linked", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Linked"))
			s.Policy.Trace, l.facts.Mode = async.TraceLink, "link"
			l.on(s, nil)
			stop := l.run(context.Background())
			l.must(l.send(context.Background(), s, "m-1"))
			l.await(1)
			stop()
		}},
		{"ambient", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Ambient"))
			l.on(s, nil)
			ctx, end := l.caller()
			l.facts.Ambient = trace.SpanContextFromContext(ctx)
			stop := l.run(ctx)
			l.must(l.send(context.Background(), s, "m-1"))
			l.await(1)
			stop()
			end()
		}},
		{"ambient request", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindRequest, "AmbientQuote"))
			l.must(async.HandleRequest(l.rt, s, func(ctx context.Context, _ *ordersv1.ShipRequest) (*ordersv1.QuoteResponse, error) {
				l.saw(ctx)
				return new(ordersv1.QuoteResponse), nil
			}))
			ctx, end := l.caller()
			l.facts.Ambient = trace.SpanContextFromContext(ctx)
			stop := l.run(ctx)
			l.facts.Messages++
			_, err := async.NewClient[*ordersv1.ShipRequest, *ordersv1.QuoteResponse](l.rt, s).Call(context.Background(), &ordersv1.ShipRequest{}, async.WithMessageID("m-1"))
			l.must(err)
			l.quiet()
			stop()
			end()
		}},
		injected("garbled", map[string]string{transport.MetaTraceparent: "00-xyz"}),
		{"untrusted", setup{}, func(l *lab) {
			s := spec(async.KindCommand, "Untrusted")
			s.Policy.Trace, l.facts.Mode = async.TraceUntrusted, "untrusted"
			l.receive(s, map[string]string{transport.MetaTraceparent: elsewhere, transport.MetaBaggage: "customer=7", transport.MetaHops: "77"})
		}},
		injected("old", map[string]string{transport.MetaTraceparent: elsewhere, transport.MetaCreatedAt: ago(2 * time.Hour), transport.MetaSentAt: ago(time.Hour)}),
		injected("hops", map[string]string{transport.MetaTraceparent: elsewhere, transport.MetaHops: "32"}),
		skewed("skew", map[string]string{transport.MetaTraceparent: elsewhere, transport.MetaSentAt: ago(-time.Hour), transport.MetaCreatedAt: ago(-time.Hour)}),
		skewed("created ahead", map[string]string{transport.MetaTraceparent: elsewhere, transport.MetaSentAt: ago(time.Second), transport.MetaCreatedAt: ago(-time.Hour)}),
		{"undecodable", setup{}, func(l *lab) {
			s := l.uses(spec(async.KindCommand, "Undecodable"))
			l.facts.Fails = true
			l.on(s, nil)
			stop := l.run(context.Background())
			l.inject(s, "m-1", map[string]string{transport.MetaTraceparent: elsewhere, transport.MetaContentType: "text/plain"})
			l.until(func() bool { return l.rt.Stats().DeadLettered == 1 })
			l.quiet()
			stop()
		}},
	}
}

func ago(d time.Duration) string { return strconv.FormatInt(time.Now().Add(-d).UnixNano(), 10) }

// injected is a scenario with one message that another program sent.
func injected(name string, metadata map[string]string) scenario {
	return scenario{name, setup{}, func(l *lab) { l.receive(spec(async.KindCommand, "Injected"), metadata) }}
}

// skewed is injected by a sender whose clock is ahead.
func skewed(name string, metadata map[string]string) scenario {
	s := injected(name, metadata)
	play := s.play
	s.play = func(l *lab) {
		l.facts.Skewed = 1
		play(l)
	}
	return s
}

// receive handles one message that another program sent.
func (l *lab) receive(s *async.Spec, metadata map[string]string) {
	l.t.Helper()
	l.on(l.uses(s), nil)
	stop := l.run(context.Background())
	l.inject(s, "m-1", metadata)
	l.await(1)
	stop()
}

// revive makes of a dead letter what the operator's tool sends: the same message without what its failure has added, with all its
// attempts.
func revive(md map[string]string) {
	for name := range md {
		if strings.HasPrefix(name, "async-dead-") {
			delete(md, name)
		}
	}
	delete(md, transport.MetaAttempt)
	md[transport.MetaSentAt] = transport.FormatInstant(time.Now())
}

// dieAndReplay has a message fail, be tried again, and end as a dead letter; takes that and replays it.
func (l *lab) dieAndReplay() {
	s := l.uses(spec(async.KindCommand, "Dead"))
	l.facts.Fails = true
	l.on(s, func(_ context.Context, calls int) error {
		switch calls {
		case 0:
			return errLate
		case 1:
			return async.Reject(fmt.Errorf("nobody goes to %s", "Atlantis"))
		default:
			return nil
		}
	})
	stop := l.run(context.Background())
	ctx, end := l.caller()
	l.must(l.send(ctx, s, "m-1"))
	end()
	l.await(2)
	l.until(func() bool { return l.rt.Stats().DeadLettered == 1 })
	l.quiet()
	browser, ok := l.tap.Transport.(transport.Browser)
	if !ok {
		l.t.Fatal("the transport cannot be browsed")
	}
	topic := l.namespace + "." + s.Topic
	var taken []transport.Delivery
	l.until(func() bool {
		var err error
		taken, err = browser.Take(context.Background(), transport.DeadName(topic, s.Group), 1)
		l.must(err)
		return len(taken) == 1
	})
	done := make(chan error, 1)
	again := taken[0].Message()
	revive(again.Metadata)
	l.must(transport.SenderOf(l.tap.Transport).Send(context.Background(), transport.Publication{Topic: topic, Group: s.Group, RoutingKey: s.Type}, again, func(err error) { done <- err }))
	l.must(<-done)
	taken[0].Settle(transport.Ack, func(err error) { done <- err })
	l.must(<-done)
	l.await(1)
	stop()
}
