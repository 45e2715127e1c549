package async_test

import (
	"context"
	"sync/atomic"
	"testing"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
)

// BenchmarkMemory is a message from a publisher over the memory transport to a handler, with nothing else configured.
func BenchmarkMemory(b *testing.B) {
	for name, send := range map[string]func(*async.Publisher[*ordersv1.OrderMoved], *ordersv1.OrderMoved) error{
		"sync": func(p *async.Publisher[*ordersv1.OrderMoved], m *ordersv1.OrderMoved) error {
			return p.Send(context.Background(), m)
		},
		"async": func(p *async.Publisher[*ordersv1.OrderMoved], m *ordersv1.OrderMoved) error {
			return p.SendAsync(context.Background(), m).Err()
		},
	} {
		b.Run(name, func(b *testing.B) {
			rt, err := async.Open(b.Context(), async.WithURL("memory://"), async.WithApp("bench"))
			if err != nil {
				b.Fatal(err)
			}
			spec := moves(async.KindCommand, nil)
			var left atomic.Int64
			left.Store(int64(b.N))
			handled := make(chan struct{})
			handler := func(context.Context, *ordersv1.OrderMoved) error {
				if left.Add(-1) == 0 {
					close(handled)
				}
				return nil
			}
			if err := async.NewSubscriber[*ordersv1.OrderMoved](rt, spec).On(handler); err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			ran := make(chan error, 1)
			go func() { ran <- rt.Run(ctx) }()
			<-rt.Ready()
			p := async.NewPublisher[*ordersv1.OrderMoved](rt, spec)
			msg := &ordersv1.OrderMoved{Order: 1234567, Step: 42}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := send(p, msg); err != nil {
					b.Fatal(err)
				}
			}
			<-handled
			b.StopTimer()
			stop()
			if err := <-ran; err != nil {
				b.Fatal(err)
			}
			if err := rt.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
