// Package load makes the messages of a trial and handles them, through generated code, and writes down what it does.
package load

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	"github.com/asyncpb/async/internal/gen/acme/orders/v1/ordersv1async"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/test/faults/internal/check"
)

// Stream is a kind of load.
type Stream string

const (
	// Commands are unordered, and wait for their first consumer.
	Commands Stream = "commands"
	// Ordered are events that are ordered by key. Their group is the consumers' app.
	Ordered Stream = "ordered"
)

// The methods, as journals call them.
const (
	rpcShip    = "Ship"
	rpcArchive = "Archive"
	rpcMoved   = "Moved"
)

// ParseStream reads the name of a stream.
func ParseStream(name string) (Stream, error) {
	switch s := Stream(name); s {
	case Commands, Ordered:
		return s, nil
	default:
		return "", fmt.Errorf("the stream %q is unknown; write commands or ordered", name)
	}
}

// RPC is the method that the stream is sent to.
func (s Stream) RPC() string {
	if s == Ordered {
		return rpcMoved
	}
	return rpcShip
}

// Name is the full name of the method, as configurations write it.
func (s Stream) Name() string {
	if s == Ordered {
		return ordersv1async.OrderEventsName + "/" + rpcMoved
	}
	return ordersv1async.OrdersName + "/" + rpcShip
}

// Topic is the logical topic of the stream, and Group the group that handles it in app.
func (s Stream) Topic() string {
	if s == Ordered {
		return ordersv1async.OrderEventsMovedTopic
	}
	return ordersv1async.OrdersShipTopic
}

// Group is the group that handles the stream when its consumers belong to app.
func (s Stream) Group(app string) string {
	if s == Ordered {
		return app
	}
	return "orders"
}

func sum(content string) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:8])
}

// content is what the message with an id holds, padded to about size bytes. It differs from that of every other id.
func (s Stream) content(id string, size int) string {
	if s == Ordered {
		order, step := orderOf(id)
		return moveContent(order, step)
	}
	return id + strings.Repeat(".", max(size-len(id), 0))
}

func moveContent(order int64, step int32) string { return fmt.Sprintf("%d/%d", order, step) }

// orderOf is the number of the key of an id, and its sequence number.
func orderOf(id string) (order int64, step int32) {
	key, seq := check.Split(id)
	_, number, _ := strings.Cut(key, "-")
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		return -1, int32(seq)
	}
	return n, int32(seq)
}

// sendFunc sends the message with an id.
type sendFunc func(ctx context.Context, id string) error

func (s Stream) sender(rt *async.Runtime, size int, spoilt Poison) sendFunc {
	if s == Ordered {
		p := ordersv1async.NewOrderEventsPublisher(rt)
		return func(ctx context.Context, id string) error {
			order, step := orderOf(id)
			return p.Moved(ctx, &ordersv1.OrderMoved{Order: order, Step: step}, async.WithMessageID(id))
		}
	}
	p := ordersv1async.NewOrdersPublisher(rt)
	return func(ctx context.Context, id string) error {
		request := &ordersv1.ShipRequest{OrderId: s.content(id, size), RequestId: id}
		if spoilt.Has(id) {
			request.ProtoReflect().SetUnknown(undecodable)
		}
		return p.Ship(ctx, request)
	}
}

// undecodable is the begin of a field whose rest is missing.
var undecodable = protoreflect.RawFields{0x7a}

// handleFunc handles a message of an rpc, with this content.
type handleFunc func(ctx context.Context, rpc, content string) error

// register has h called for what is sent to the stream, and for what could be delivered to its neighbour by mistake.
func (s Stream) register(rt *async.Runtime, h handleFunc) error {
	if s == Ordered {
		return ordersv1async.NewOrderEventsSubscriber(rt).OnMoved(func(ctx context.Context, m *ordersv1.OrderMoved) error {
			return h(ctx, rpcMoved, moveContent(m.GetOrder(), m.GetStep()))
		})
	}
	orders := ordersv1async.NewOrdersSubscriber(rt)
	return errors.Join(
		orders.OnShip(func(ctx context.Context, r *ordersv1.ShipRequest) error { return h(ctx, rpcShip, r.GetOrderId()) }),
		orders.OnArchive(func(ctx context.Context, r *ordersv1.ArchiveRequest) error { return h(ctx, rpcArchive, r.GetOrderId()) }),
	)
}

// Pass lets time go by, unless ctx ends first.
func Pass(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
