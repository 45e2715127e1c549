package amqptransport_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// TestARepairKeepsTheOrderOfKeys lets somebody delete what messages need while they are sent. The first of them are lost with
// it; from then on each key has all of its messages, in order.
func TestARepairKeepsTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	harms := map[string]func(ch *amqp.Channel, s transport.Subscription) error{
		"its queue": func(ch *amqp.Channel, s transport.Subscription) error {
			_, err := ch.QueueDelete(s.Queue(), false, false, false)
			return err
		},
		"its binding": func(ch *amqp.Channel, s transport.Subscription) error {
			return ch.QueueUnbind(s.Queue(), "#", s.Topic, nil)
		},
		"its exchange": func(ch *amqp.Channel, s transport.Subscription) error {
			return ch.ExchangeDelete(s.Topic, false, false)
		},
	}
	for what, harm := range harms {
		for _, mandatory := range []bool{true, false} {
			for _, underway := range []bool{true, false} {
				t.Run(fmt.Sprintf("somebody deletes %s, mandatory %t, while others are under way %t", what, mandatory, underway), func(t *testing.T) {
					t.Parallel()
					sendThroughHarm(t, mandatory, underway, harm)
				})
			}
		}
	}
}

func sendThroughHarm(t *testing.T, mandatory, underway bool, harm func(*amqp.Channel, transport.Subscription) error) {
	t.Helper()
	const keys, each, harmed = 8, 100, 30
	c := brokerConfig(t, brokerURL())
	// A quorum queue that dies may leave messages without any answer, for as long as the broker counts as alive.
	c.Options["heartbeat"] = "3s"
	tr, s, ch := openConfig(t, c), subscription(t), channel(t)
	declare(t, tr, s)
	var before, after []<-chan error
	for i := range each {
		if i == harmed {
			if !underway {
				awaitAll(t, before, false)
				before = nil
			}
			if err := harm(ch, s); err != nil {
				t.Fatal(err)
			}
		}
		for key := range keys {
			p := transport.Publication{Topic: s.Topic, Key: strconv.Itoa(key), Mandatory: mandatory}
			answer := start(t, tr, p, newMessage(fmt.Sprint(key, ".", i)))
			if i < harmed {
				before = append(before, answer)
			} else {
				after = append(after, answer)
			}
		}
	}
	// What was on its way to a queue that is deleted, the broker may refuse.
	awaitAll(t, before, true)
	awaitAll(t, after, false)
	stored := ready(t, tr, s.Queue())
	deliveries, _ := consume(t, tr, s)
	// What was on its way when the broker closed its channel is sent again, and may be there twice; its first place counts.
	got, seen := make(map[string][]int), make(map[string]bool)
	for range stored {
		d := await(t, deliveries, "a message")
		name := string(d.Message().Payload)
		key, i, _ := strings.Cut(name, ".")
		n, err := strconv.Atoi(i)
		if err != nil {
			t.Fatal(err)
		}
		if !seen[name] {
			seen[name] = true
			got[key] = append(got[key], n)
		}
		d.Settle(transport.Ack, nil)
	}
	for key := range keys {
		list := got[strconv.Itoa(key)]
		if len(list) < each-harmed {
			t.Errorf("key %d: %d messages are there, want %d at least", key, len(list), each-harmed)
			continue
		}
		for i, n := range list {
			// Where only the way to the queue was broken, the queue still has what came before.
			if want := each - len(list) + i; n != want {
				t.Errorf("key %d: message %d is where %d belongs: %v", key, n, want, list)
				break
			}
		}
		if !slices.IsSorted(list) {
			t.Errorf("key %d is out of order", key)
		}
	}
}

// TestARepairIsMadeOnce: the second of two who declare a quorum queue at the same time is told that it is there before it takes
// messages.
func TestARepairIsMadeOnce(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr, s := openConfig(t, p.config(t)), subscription(t)
	declare(t, tr, s)
	const keys = 64
	at := func(key int) transport.Publication {
		return transport.Publication{Topic: s.Topic, Key: strconv.Itoa(key), Mandatory: true}
	}
	for key := range keys {
		mustSend(t, tr, at(key), newMessage("while all is well"))
	}
	if _, err := channel(t).QueueDelete(s.Queue(), false, false, false); err != nil {
		t.Fatal(err)
	}
	before := p.declarations()
	var answers []<-chan error
	for key := range keys {
		answers = append(answers, start(t, tr, at(key), newMessage("after somebody has deleted the queue")))
	}
	awaitAll(t, answers, false)
	if got := p.declarations() - before; got != 2 {
		t.Errorf("queues were declared %d times, want 2: that of the group and that of its dead letters", got)
	}
	if got := ready(t, tr, s.Queue()); got != keys {
		t.Errorf("the queue has %d messages, want %d", got, keys)
	}
}

// awaitAll wants every message stored, or refused if that may be.
func awaitAll(t *testing.T, answers []<-chan error, refused bool) {
	t.Helper()
	for _, answer := range answers {
		if err := await(t, answer, "the broker's answer"); err != nil && !(refused && errors.Is(err, transport.ErrNacked)) {
			t.Error(err)
		}
	}
}
