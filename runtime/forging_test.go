package async_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// forged is what would be lines of their own in a log that writes text as it is.
const forged = "x\r\nlevel=ERROR msg=\"forged\"\n{\"level\":\"ERROR\"}\x1b[2K\u2028forged\x00"

// logbook keeps what is logged in both of slog's forms, and counts the records.
type logbook struct {
	slog.Handler

	mu         sync.Mutex
	text, json bytes.Buffer
	records    int
	raw        []string // attributes with characters that are no text
}

func (b *logbook) Enabled(context.Context, slog.Level) bool { return true }

func (b *logbook) Handle(ctx context.Context, r slog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records++
	all := &slog.HandlerOptions{Level: slog.LevelDebug}
	r.Attrs(func(a slog.Attr) bool {
		if value := fmt.Sprint(a.Value.Any()); a.Key != "stack" && strings.ContainsAny(value, "\r\n\x1b\x00\u2028") {
			b.raw = append(b.raw, r.Message+": "+a.Key+"="+value)
		}
		return true
	})
	return errors.Join(slog.NewTextHandler(&b.text, all).Handle(ctx, r), slog.NewJSONHandler(&b.json, all).Handle(ctx, r))
}

// TestLogsCannotBeForged: one call of the logger is one record, whatever a message, a handler or a caller says.
func TestLogsCannotBeForged(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"memory", "amqp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, name)
			book := new(logbook)
			rt := w.open(t, async.WithLogger(slog.New(book)))
			sub := ordersv1async.NewOrdersSubscriber(rt)
			must(t, sub.OnShip(func(_ context.Context, msg *ordersv1.ShipRequest) error {
				switch msg.GetOrderId() {
				case "panic":
					panic(forged)
				case "drop":
					return async.Drop(forged)
				case "reject":
					return async.Reject(errors.New(forged))
				default:
					return errors.New(forged)
				}
			}))
			must(t, sub.OnQuote(func(context.Context, *ordersv1.QuoteRequest) (*ordersv1.QuoteResponse, error) {
				return nil, async.NewError(async.CodeInternal, "%s", forged)
			}))
			run(t, rt)
			ship := transport.Publication{Topic: w.topic(ordersv1async.OrdersShipTopic), RoutingKey: "acme.orders.v1.ShipRequest"}
			quote := transport.Publication{Topic: w.topic(ordersv1async.OrdersQuoteTopic), RoutingKey: "acme.orders.v1.QuoteRequest"}
			envelope := func(id, messageType string, more map[string]string) map[string]string {
				md := map[string]string{transport.MetaID: id, transport.MetaType: messageType}
				maps.Copy(md, more)
				return md
			}
			payload := func(order string) []byte { return append([]byte{0x0a, byte(len(order))}, order...) }
			w.inject(t, ship, "1", payload("x"), envelope(forged, "acme.orders.v1.ShipRequest", nil))
			w.inject(t, ship, "2", payload("panic"), envelope("2"+forged, "acme.orders.v1.ShipRequest", nil))
			w.inject(t, ship, "3", payload("drop"), envelope("3"+forged, "acme.orders.v1.ShipRequest", nil))
			w.inject(t, ship, "4", payload("reject"), envelope("4"+forged, "acme.orders.v1.ShipRequest", nil))
			w.inject(t, ship, "5", nil, envelope("5"+forged, forged, nil))
			w.inject(t, ship, "6", nil, envelope("6"+forged, "acme.orders.v1.ShipRequest", map[string]string{transport.MetaContentType: forged}))
			w.inject(t, ship, "7", nil, envelope("7"+forged, "acme.orders.v1.ShipRequest", map[string]string{transport.MetaEncoding: forged}))
			w.inject(t, ship, "8", nil, envelope("8"+forged, "acme.orders.v1.ShipRequest", map[string]string{transport.MetaDeadline: "1"}))
			w.inject(t, quote, "9", nil, envelope("9"+forged, "acme.orders.v1.QuoteRequest", map[string]string{transport.MetaReplyTo: "a--b" + strings.Trim(forged, "\x00")}))
			w.inject(t, quote, "10", nil, envelope("10"+forged, "acme.orders.v1.QuoteRequest", map[string]string{transport.MetaReplyTo: "nobody\r\nforged"}))
			eventually(t, "all is concluded", func() bool {
				s := rt.Stats()
				return s.DeadLettered == 6 && s.Dropped == 1 && s.Expired == 1 && s.LostReplies == 2
			})
			book.mu.Lock()
			defer book.mu.Unlock()
			for form, text := range map[string]string{"text": book.text.String(), "JSON": book.json.String()} {
				lines := strings.Count(text, "\n")
				if lines != book.records || book.records == 0 || strings.ContainsAny(text, "\r\x1b\x00") {
					t.Errorf("as %s, %d records are %d lines:\n%s", form, book.records, lines, text)
				}
			}
			for _, raw := range book.raw {
				t.Errorf("a handler that writes values as they are would be fooled by %q", raw)
			}
		})
	}
}
