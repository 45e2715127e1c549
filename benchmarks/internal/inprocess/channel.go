// Package inprocess is the peers that need no broker: Watermill's gochannel, and a plain Go channel.
package inprocess

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"

	benchv1 "github.com/asyncpb/async/benchmarks/gen/bench/v1"
	"github.com/asyncpb/async/benchmarks/internal/load"
	"github.com/asyncpb/async/benchmarks/internal/peer"
)

// Channel returns a buffered Go channel that carries marshalled messages to 16 goroutines: no library takes part.
func Channel() peer.Peer {
	return peer.Peer{Name: "plain Go channel, buffer 1024, 16 readers, protobuf", Open: func(context.Context, load.Load) (peer.Session, error) {
		return &channel{c: make(chan []byte, 1024)}, nil
	}}
}

type channel struct {
	c       chan []byte
	readers sync.WaitGroup
}

func (c *channel) Send(ctx context.Context, s *load.Source) error {
	order := load.NewOrder()
	return peer.Callers(ctx, 1, s, func(_ context.Context, number int, _ int64) error {
		b, err := proto.Marshal(load.NumberOrder(order, number))
		if err != nil {
			return err
		}
		c.c <- b
		return nil
	})
}

func (c *channel) Receive(_ context.Context, h load.HandleFunc) error {
	for range 16 {
		c.readers.Go(func() {
			for b := range c.c {
				o := new(benchv1.Order)
				// What cannot be read is never marked, and the run fails for it.
				if proto.Unmarshal(b, o) == nil {
					h(load.ReadOrder(o))
				}
			}
		})
	}
	return nil
}

func (c *channel) Close(context.Context) error {
	close(c.c)
	c.readers.Wait()
	return nil
}
