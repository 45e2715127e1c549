package amqptransport_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

func TestEveryUnroutableMessageIsNamed(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	const total = 5000
	outcomes := make([]<-chan error, total)
	for i := range outcomes {
		p := transport.Publication{Topic: s.Topic, Mandatory: true}
		if i%7 == 0 {
			p = transport.Publication{Topic: s.Topic + ".nowhere", Direct: true, Mandatory: true}
		}
		outcomes[i] = start(t, tr, p, newMessage("x"))
	}
	for i, outcome := range outcomes {
		err := await(t, outcome, "an outcome")
		if unroutable := errors.Is(err, transport.ErrUnroutable); unroutable != (i%7 == 0) {
			t.Fatalf("message %d resolved with %v", i, err)
		}
	}
	if n := ready(t, tr, s.Queue()); n != total-(total+6)/7 {
		t.Errorf("%d messages are stored, want %d", n, total-(total+6)/7)
	}
}

func TestMessageThatNobodyTakesIsNoErrorUnlessMandatory(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	p := transport.Publication{Topic: s.Topic}
	mustSend(t, tr, p, newMessage("x"))
	p.Mandatory = true
	if err := send(t, tr, p, newMessage("x")); !errors.Is(err, transport.ErrUnroutable) {
		t.Errorf("mandatory: %v, want ErrUnroutable", err)
	}
}

func TestFullQueueRefusesTheMessage(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	_, err := channel(t).QueueDeclare(s.Queue(), true, false, false, false, amqp.Table{
		amqp.QueueMaxLenArg: int32(1), amqp.QueueOverflowArg: amqp.QueueOverflowRejectPublish,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := transport.Publication{Topic: s.Queue(), Direct: true, Mandatory: true}
	mustSend(t, tr, p, newMessage("first"))
	if err := send(t, tr, p, newMessage("second")); !errors.Is(err, transport.ErrNacked) {
		t.Errorf("second: %v, want ErrNacked", err)
	}
}

func TestWhatAMQPCannotCarryIsRefusedAndHarmsNobody(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	p := transport.Publication{Topic: s.Topic, Mandatory: true}
	for name, breakIt := range map[string]func(metadata map[string]string){
		"a header name over 255 bytes":     func(m map[string]string) { m[strings.Repeat("k", 256)] = "v" },
		"headers larger than a frame":      func(m map[string]string) { m["k"] = strings.Repeat("v", 1<<17) },
		"a native property over 255 bytes": func(m map[string]string) { m[transport.MetaReplyTo] = strings.Repeat("r", 256) },
		"many headers larger than one frame": func(m map[string]string) {
			for i := range 200 {
				m[fmt.Sprintf("k%d", i)] = strings.Repeat("v", 1<<10)
			}
		},
	} {
		msg := newMessage("bad")
		breakIt(msg.Metadata)
		if err := send(t, tr, p, msg); !errors.Is(err, transport.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
	msg := newMessage("fits")
	msg.Metadata.Set(strings.Repeat("k", 255), strings.Repeat("v", 100<<10))
	mustSend(t, tr, p, msg)
	if err := tr.Report(); err != nil {
		t.Errorf("Report: %v", err)
	}
}

// TestMessageThatClosesTheChannelFailsAlone publishes to an internal exchange: the broker closes the whole channel.
func TestMessageThatClosesTheChannelFailsAlone(t *testing.T) {
	t.Parallel()
	s := subscription(t)
	declare(t, open(t), s)
	c := brokerConfig(t, brokerURL())
	c.Declare = transport.DeclareNone
	c.Options["channels"] = "1"
	tr := openConfig(t, c)
	const total = 60
	outcomes := make([]<-chan error, total)
	for i := range outcomes {
		p := transport.Publication{Topic: s.Topic, Mandatory: true}
		if i%20 == 10 {
			p.Topic = "amq.rabbitmq.trace"
		}
		outcomes[i] = start(t, tr, p, newMessage("x"))
	}
	for i, outcome := range outcomes {
		err := await(t, outcome, "an outcome")
		if bad := i%20 == 10; bad != (err != nil) {
			t.Errorf("message %d resolved with %v", i, err)
		}
	}
}

func TestExchangeDeletedIsRedeclared(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	deliveries, _ := consume(t, tr, s)
	p := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, p, newMessage("before"))
	if err := channel(t).ExchangeDelete(s.Topic, false, false); err != nil {
		t.Fatal(err)
	}
	var outcomes []<-chan error
	for range 20 {
		outcomes = append(outcomes, start(t, tr, p, newMessage("after")))
	}
	for _, outcome := range outcomes {
		if err := await(t, outcome, "an outcome"); err != nil {
			t.Errorf("after the deletion: %v", err)
		}
	}
	seen := make(map[string]bool)
	for len(seen) < 21 {
		d := await(t, deliveries, "the messages of before and after")
		seen[d.Message().UUID] = true
		if err := settle(t, d, transport.Ack); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMissingExchangeIsNamedWhenNothingMayBeDeclared(t *testing.T) {
	t.Parallel()
	for _, mode := range []transport.Declare{transport.DeclareVerify, transport.DeclareNone} {
		c := brokerConfig(t, brokerURL())
		c.Declare = mode
		tr := openConfig(t, c)
		s := subscription(t)
		err := send(t, tr, transport.Publication{Topic: s.Topic}, newMessage("x"))
		if !errors.Is(err, transport.ErrTopology) || !strings.Contains(err.Error(), s.Topic) {
			t.Errorf("%s: %v, want ErrTopology that names the exchange", mode, err)
		}
		good := subscription(t)
		declare(t, open(t), good)
		mustSend(t, tr, transport.Publication{Topic: good.Topic, Mandatory: true}, newMessage("x"))
	}
}

// TestConnectionLossUnderSendLosesNothing cuts both connections again and again. Every message that was taken must be
// stored, and the messages of a key must be stored in their order, when repetitions are left aside.
func TestConnectionLossUnderSendLosesNothing(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr := openConfig(t, p.config(t))
	direct := open(t)
	s := subscription(t)
	declare(t, direct, s)
	const total, keys, cuts = 4000, 8, 10
	ctx := t.Context()
	outcomes := make([]<-chan error, 0, total)
	for i := range total {
		if i%(total/cuts) == total/cuts/2 {
			p.cut()
		}
		msg := newMessage(fmt.Sprint(i))
		msg.SetContext(ctx)
		outcomes = append(outcomes, start(t, tr, transport.Publication{
			Topic: s.Topic, Key: fmt.Sprint("key-", i%keys), Mandatory: true, Deadline: time.Now().Add(patience),
		}, msg))
	}
	for i, outcome := range outcomes {
		if err := await(t, outcome, "an outcome"); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	deliveries, _ := consume(t, direct, s)
	next, duplicates := make([]int, keys), 0
	for i := range next {
		next[i] = i
	}
	for left := total; left > 0; {
		d := await(t, deliveries, "every message")
		var i int
		if _, err := fmt.Sscan(string(d.Message().Payload), &i); err != nil {
			t.Fatal(err)
		}
		switch key := i % keys; {
		case i == next[key]:
			next[key] += keys
			left--
		case i > next[key]:
			t.Fatalf("key %d: message %d came before %d", key, i, next[key])
		default:
			duplicates++
		}
		d.Settle(transport.Ack, nil)
	}
	t.Logf("%d messages, %d cuts, %d duplicates", total, cuts, duplicates)
}

func TestSendWhoseLifeHasEndedIsUnknownAfterALoss(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr := openConfig(t, p.config(t))
	s := subscription(t)
	declare(t, open(t), s)
	publication := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, publication, newMessage("the exchange is known now"))
	p.silence(true)
	msg := newMessage("x")
	ctx, cancel := context.WithCancel(context.Background())
	msg.SetContext(ctx)
	outcome := start(t, tr, publication, msg)
	eventually(t, "the message is written", func() bool { return tr.Report() == nil })
	second := newMessage("a second one, to know that the first is written")
	second.SetContext(ctx)
	other := start(t, tr, publication, second)
	p.cut()
	cancel()
	p.silence(false)
	for _, o := range []<-chan error{outcome, other} {
		err := await(t, o, "the outcome")
		if err != nil && !errors.Is(err, transport.ErrUnknown) && !errors.Is(err, transport.ErrBlocked) {
			t.Errorf("outcome %v, want ErrUnknown, or ErrBlocked if it was never written", err)
		}
	}
}

// TestSilentPeerFailsWithinTheDeadline: the connection stands, and nobody answers. Large messages fill the buffers of
// the socket, so that writing itself stands still.
func TestSilentPeerFailsWithinTheDeadline(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"written messages": 1, "messages stuck in the write": 8 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t)
			c := p.config(t)
			// Far too long to be what ends the sends.
			c.Options["heartbeat"] = "1h"
			tr := openConfig(t, c)
			s := subscription(t)
			declare(t, tr, s)
			publication := transport.Publication{Topic: s.Topic, Mandatory: true}
			mustSend(t, tr, publication, newMessage("x"))
			p.silence(true)
			publication.Deadline = time.Now().Add(300 * time.Millisecond)
			var outcomes []<-chan error
			for range 8 {
				outcomes = append(outcomes, start(t, tr, publication, newMessage(strings.Repeat("x", size))))
			}
			for _, outcome := range outcomes {
				err := await(t, outcome, "the outcome")
				if !errors.Is(err, transport.ErrUnknown) && !errors.Is(err, transport.ErrBacklog) {
					t.Errorf("a send without an answer: %v", err)
				}
			}
			p.silence(false)
			publication.Deadline = time.Now().Add(patience)
			mustSend(t, tr, publication, newMessage("after the silence"))
		})
	}
}

func TestFullWindowHoldsTheCaller(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	c := p.config(t)
	c.Options["window"] = "4"
	tr := openConfig(t, c)
	s := subscription(t)
	declare(t, tr, s)
	publication := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, publication, newMessage("x"))
	p.silence(true)
	var outcomes []<-chan error
	for range 4 {
		outcomes = append(outcomes, start(t, tr, publication, newMessage("x")))
	}
	late := publication
	late.NoWait = true
	if err := send(t, tr, late, newMessage("x")); !errors.Is(err, transport.ErrBacklog) {
		t.Errorf("NoWait: %v, want ErrBacklog", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := tr.Send(ctx, publication, newMessage("x"), func(error) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context: %v, want DeadlineExceeded", err)
	}
	late = publication
	late.Deadline = time.Now().Add(20 * time.Millisecond)
	if err := send(t, tr, late, newMessage("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: %v, want DeadlineExceeded", err)
	}
	p.silence(false)
	for _, outcome := range outcomes {
		if err := await(t, outcome, "the outcome"); err != nil {
			t.Errorf("after the silence: %v", err)
		}
	}
}

// TestBlockedBrokerFailsWithinContext: a memory alarm.
func TestBlockedBrokerFailsWithinContext(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	c := p.config(t)
	tr := openConfig(t, c)
	s := subscription(t)
	declare(t, tr, s)
	publication := transport.Publication{Topic: s.Topic, Mandatory: true}
	mustSend(t, tr, publication, newMessage("x"))
	p.block()
	// What was written before the alarm was heard is unknown as well; what comes after is certainly not stored.
	eventually(t, "a send fails with ErrBlocked alone", func() bool {
		publication.Deadline = time.Now().Add(50 * time.Millisecond)
		err := send(t, tr, publication, newMessage("x"))
		if !errors.Is(err, transport.ErrBlocked) {
			t.Errorf("with a deadline: %v, want ErrBlocked", err)
		}
		return t.Failed() || !errors.Is(err, transport.ErrUnknown)
	})
	if err := tr.Report(); !errors.Is(err, transport.ErrBlocked) {
		t.Errorf("Report: %v, want ErrBlocked", err)
	}
	publication.Deadline = time.Time{}
	msg := newMessage("x")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	msg.SetContext(ctx)
	if err := send(t, tr, publication, msg); !errors.Is(err, transport.ErrBlocked) {
		t.Errorf("with a context: %v, want ErrBlocked", err)
	}
	outcome := start(t, tr, publication, newMessage("waits"))
	p.unblock()
	if err := await(t, outcome, "the outcome after the alarm"); err != nil {
		t.Errorf("after the alarm: %v", err)
	}
}

func TestAMessageThatIsLargerThanTheBrokerTakesIsTooLarge(t *testing.T) {
	t.Parallel()
	tr, s := open(t), subscription(t)
	declare(t, tr, s)
	p := transport.Publication{Topic: s.Topic, Mandatory: true}
	const size = 129 << 20 // RabbitMQ takes 128 MiB, from version 4 on 16
	large := start(t, tr, p, newMessage(strings.Repeat("x", size)))
	beside := start(t, tr, p, newMessage("beside it"))
	err := await(t, large, "the outcome of the large message")
	if !errors.Is(err, transport.ErrTooLarge) || errors.Is(err, transport.ErrNacked) || errors.Is(err, transport.ErrUnknown) {
		t.Fatalf("got %v, want %v: sending it again is of no use", err, transport.ErrTooLarge)
	}
	if text := err.Error(); !strings.Contains(text, strconv.Itoa(size)) || !strings.Contains(text, "max_message_size is 1") {
		t.Errorf("%q does not name both sizes", text)
	}
	if err := await(t, beside, "the outcome of the message beside it"); err != nil {
		t.Errorf("the message beside it: %v", err)
	}
}
