package check_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	ordersv1 "github.com/asyncpb/async/internal/gen/acme/orders/v1"
	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
	"github.com/asyncpb/async/test/faults/internal/check"
	"github.com/asyncpb/async/test/faults/internal/journal"
	"github.com/asyncpb/async/test/faults/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// victim is which of the sent messages a liar lies about.
const victim = 137

// liar is a transport that breaks its promise for one message.
type liar struct {
	*memorytransport.Transport
	sends atomic.Int64
	lie   func(l *liar, ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error
	held  atomic.Pointer[func() error]
}

func (l *liar) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	if l.sends.Add(1) == victim {
		return l.lie(l, ctx, p, msg, done)
	}
	if err := l.Transport.Send(ctx, p, msg, done); err != nil {
		return err
	}
	if held := l.held.Swap(nil); held != nil {
		return (*held)()
	}
	return nil
}

// again sends a copy of a message whose answer interests nobody, whatever becomes of the send of the message itself.
func (l *liar) again(ctx context.Context, p transport.Publication, msg *message.Message, change func(*message.Message)) error {
	ctx = context.WithoutCancel(ctx)
	c := msg.Copy()
	c.SetContext(ctx)
	c.Payload = slices.Clone(msg.Payload)
	change(c)
	return l.Transport.Send(ctx, p, c, func(error) {})
}

func TestTheCheckerFlagsEveryLie(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		stream load.Stream
		lie    func(l *liar, ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error
		flaws  func(r *check.Report) []string
	}{
		{
			"drops one", load.Commands,
			func(_ *liar, _ context.Context, _ transport.Publication, _ *message.Message, done func(error)) error {
				done(nil)
				return nil
			},
			func(r *check.Report) []string { return r.Lost },
		},
		{
			"swaps two of a key", load.Ordered,
			func(l *liar, ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
				copied := msg.Copy()
				late := func() error { return l.again(ctx, p, copied, func(*message.Message) {}) }
				l.held.Store(&late)
				done(nil)
				return nil
			},
			func(r *check.Report) []string { return r.Reordered },
		},
		{
			"invents one", load.Commands,
			func(l *liar, ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
				if err := l.again(ctx, p, msg, func(c *message.Message) {
					c.UUID = "run-1-9999"
					c.Metadata.Set("ce-id", c.UUID)
				}); err != nil {
					return err
				}
				return l.Transport.Send(ctx, p, msg, done)
			},
			func(r *check.Report) []string { return r.Phantom },
		},
		{
			"duplicates one", load.Commands,
			func(l *liar, ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
				if err := l.again(ctx, p, msg, func(*message.Message) {}); err != nil {
					return err
				}
				return l.Transport.Send(ctx, p, msg, done)
			},
			func(r *check.Report) []string { return r.Duplicate },
		},
		{
			"corrupts one", load.Commands,
			func(l *liar, ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
				done(nil)
				return l.again(ctx, p, msg, func(c *message.Message) {
					payload, err := proto.Marshal(&ordersv1.ShipRequest{OrderId: "another", RequestId: c.UUID})
					if err != nil {
						panic(err)
					}
					c.Payload = payload
				})
			},
			func(r *check.Report) []string { return r.Corrupt },
		},
		{
			"delivers one to a neighbour", load.Commands,
			func(l *liar, ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
				done(nil)
				p.Topic = strings.Replace(p.Topic, "Ship", "Archive", 1)
				return l.again(ctx, p, msg, func(c *message.Message) {
					c.Metadata.Set("ce-type", "acme.orders.v1.ArchiveRequest")
				})
			},
			func(r *check.Report) []string { return r.Misdelivered },
		},
		{
			"is honest", load.Ordered,
			func(l *liar, ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
				return l.Transport.Send(ctx, p, msg, done)
			},
			func(*check.Report) []string { return []string{"nothing"} },
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := trial(t, row.stream, &liar{Transport: memorytransport.New(), lie: row.lie})
			if len(row.flaws(r)) != 1 {
				t.Errorf("it was not flagged: %+v", r)
			}
			flawed := len(r.Broken()) + len(r.Duplicate)
			if want := len(row.flaws(r)); row.name == "is honest" && flawed != 0 || row.name != "is honest" && flawed != want {
				t.Errorf("found %v and %d duplicates", r.Broken(), len(r.Duplicate))
			}
		})
	}
}

// trial sends 400 messages over a transport, waits until nothing more comes, and checks the journals.
func trial(t *testing.T, stream load.Stream, tr transport.Transport) *check.Report {
	t.Helper()
	const count = 400
	dir := t.TempDir()
	producer, consumer := filepath.Join(dir, "producer"), filepath.Join(dir, "consumer")
	rt, err := async.Open(t.Context(), async.WithTransport(tr), async.WithApp("faults"))
	if err != nil {
		t.Fatal(err)
	}
	consumerJournal, producerJournal := open(t, consumer), open(t, producer)
	ctx, cancel := context.WithCancel(t.Context())
	consumed := make(chan error, 1)
	go func() { consumed <- (&load.Consumer{Stream: stream, Journal: consumerJournal}).Consume(ctx, rt) }()
	select {
	case <-rt.Ready():
	case err := <-consumed:
		t.Fatal(err)
	}
	p := load.Producer{Stream: stream, Run: "run", Keys: 1, Count: count, Rate: 1_000_000, Journal: producerJournal}
	if err := p.Produce(ctx, rt); err != nil {
		t.Fatal(err)
	}
	quiet(t, tr, stream)
	cancel()
	if err := <-consumed; err != nil {
		t.Fatal(err)
	}
	if err := rt.Close(); err != nil {
		t.Fatal(err)
	}
	return check.Journals(read(t, producer), read(t, consumer), check.Conditions{Ordered: stream == load.Ordered})
}

// quiet waits until no queue holds anything.
func quiet(t *testing.T, tr transport.Transport, stream load.Stream) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		queues, err := tr.(transport.Browser).Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting := 0
		for _, q := range queues {
			waiting += q.Ready + q.Unsettled + q.Delayed
		}
		if waiting == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d messages still wait", stream, waiting)
		}
	}
}

func open(t *testing.T, path string) *journal.Writer {
	t.Helper()
	w, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func read(t *testing.T, path string) []journal.Entry {
	t.Helper()
	entries, err := journal.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
