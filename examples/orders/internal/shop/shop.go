// Package shop runs the three services in one process.
package shop

import (
	"context"
	"errors"
	"time"

	"github.com/asyncpb/async/examples/internal/console"
	"github.com/asyncpb/async/examples/orders/internal/billing"
	"github.com/asyncpb/async/examples/orders/internal/deadletter"
	"github.com/asyncpb/async/examples/orders/internal/ordering"
	"github.com/asyncpb/async/examples/orders/internal/shipping"
	async "github.com/asyncpb/async/runtime"
)

// Run places a few orders, waits until each has come to its end, and shows the one that ended as a dead letter.
func Run(ctx context.Context, url, namespace string, out *console.Console, opts ...async.Option) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rt, err := async.Open(ctx, append([]async.Option{
		async.WithURL(url), async.WithNamespace(namespace), async.WithApp("shop"),
	}, opts...)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	orders, err := ordering.Register(rt, out)
	if err != nil {
		return err
	}
	parcels, err := shipping.Register(rt, out)
	if err != nil {
		return err
	}
	if err := billing.Register(rt, out); err != nil {
		return err
	}
	out.Title("Orders on %s", rt.Health(ctx).Transports[0].System)
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	select {
	case <-rt.Ready():
	case err := <-ended:
		return err
	}
	if err := orders.PlaceAll(ctx, ordering.Sample); err != nil {
		return err
	}
	if err := await(ctx, rt, orders); err != nil {
		return err
	}
	stats := rt.Stats()
	out.Title("%d shipped, %d retried, %d dead", orders.Shipped(), stats.Retried, stats.DeadLettered)
	return deadletter.Report(ctx, url, parcels.DeadQueue(), out)
}

// await waits until every order has come to its end: the good ones are shipped, the bad one is a dead letter. A dead letter
// comes back to nobody, so it is counted.
func await(ctx context.Context, rt *async.Runtime, orders *ordering.Service) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for orders.Shipped() < ordering.Shippable || rt.Stats().DeadLettered == 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
