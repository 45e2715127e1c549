package promisetest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/asyncpb/async/runtime/promisetest"
	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fault names what a transport of a process of its own does wrong.
const fault = "PROMISE_FAULT"

// faults are transports that break the promise, by what they do, and the row that tells of it.
var faults = map[string]struct {
	row string
	do  func(w *wrong)
}{
	"it loses what is tried again": {"retries", func(w *wrong) {
		w.send = func(p transport.Publication, msg *message.Message) (transport.Publication, bool) {
			return p, p.Group == "" || msg.Metadata[transport.MetaAttempt] == ""
		}
	}},
	"it forgets how long a message is to wait": {"delays", func(w *wrong) {
		w.send = func(p transport.Publication, _ *message.Message) (transport.Publication, bool) {
			p.Delay = 0
			return p, true
		}
	}},
	"it gives every group what is for one": {"replay", func(w *wrong) {
		w.send = func(p transport.Publication, _ *message.Message) (transport.Publication, bool) {
			p.Group = ""
			return p, true
		}
	}},
	"it loses dead letters": {"dead letters", func(w *wrong) {
		w.send = func(p transport.Publication, msg *message.Message) (transport.Publication, bool) {
			return p, msg.Metadata[transport.MetaDeadReason] == ""
		}
	}},
	"it takes what is given back for done": {"drain", func(w *wrong) {
		w.settle = func(transport.Outcome) transport.Outcome { return transport.Ack }
	}},
	"it hands out again what is done": {"verdicts", func(w *wrong) {
		w.settle = func(transport.Outcome) transport.Outcome { return transport.Requeue }
	}},
}

// wrong is a transport in memory that breaks the promise as told.
type wrong struct {
	*memorytransport.Transport
	send   func(transport.Publication, *message.Message) (transport.Publication, bool)
	settle func(transport.Outcome) transport.Outcome
}

func (w *wrong) Send(ctx context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	keeps := true
	if w.send != nil {
		p, keeps = w.send(p, msg)
	}
	if !keeps {
		done(nil)
		return nil
	}
	return w.Transport.Send(ctx, p, msg, done)
}

func (w *wrong) Consume(ctx context.Context, s transport.Subscription, receive func(transport.Delivery)) (transport.Consumption, error) {
	return w.Transport.Consume(ctx, s, func(d transport.Delivery) { receive(settled{d, w}) })
}

// settled is a delivery whose settlement is altered.
type settled struct {
	transport.Delivery
	w *wrong
}

func (d settled) Settle(o transport.Outcome, done func(error)) {
	if d.w.settle != nil {
		o = d.w.settle(o)
	}
	d.Delivery.Settle(o, done)
}

// TestTransport keeps the promise, or breaks it in a process that [TestWhatBreaksThePromiseIsFound] starts.
func TestTransport(t *testing.T) {
	t.Parallel()
	promisetest.Run(t, promisetest.Harness{Broker: func(*testing.T) func() transport.Transport {
		broker := memorytransport.NewBroker()
		return func() transport.Transport {
			w := &wrong{Transport: broker.Open()}
			if f, is := faults[os.Getenv(fault)]; is {
				f.do(w)
			}
			return w
		}
	}})
}

func TestWhatBreaksThePromiseIsFound(t *testing.T) {
	t.Parallel()
	if os.Getenv(fault) != "" {
		return // this is such a process
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := strings.ReplaceAll(f.row, " ", "_")
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestTransport$/^"+row+"$", "-test.timeout", "1m")
			command.Env = append(os.Environ(), fault+"="+name)
			out, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestTransport/"+row) {
				t.Errorf("the suite has not found that %s: %v\n%s", name, err, out)
			}
		})
	}
}
