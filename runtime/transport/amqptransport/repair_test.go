package amqptransport_test

import (
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
	tr, s, ch := open(t), subscription(t), channel(t)
	declare(t, tr, s)
	var answers []<-chan error
	for i := range each {
		if i == harmed {
			if !underway {
				awaitAll(t, answers)
				answers = nil
			}
			if err := harm(ch, s); err != nil {
				t.Fatal(err)
			}
		}
		for key := range keys {
			p := transport.Publication{Topic: s.Topic, Key: strconv.Itoa(key), Mandatory: mandatory}
			answers = append(answers, start(t, tr, p, newMessage(fmt.Sprint(key, ".", i))))
		}
	}
	awaitAll(t, answers)
	stored := ready(t, tr, s.Queue())
	deliveries, _ := consume(t, tr, s)
	got := make(map[string][]int)
	for range stored {
		d := await(t, deliveries, "a message")
		key, i, _ := strings.Cut(string(d.Message().Payload), ".")
		n, err := strconv.Atoi(i)
		if err != nil {
			t.Fatal(err)
		}
		got[key] = append(got[key], n)
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

// awaitAll wants every message stored.
func awaitAll(t *testing.T, answers []<-chan error) {
	t.Helper()
	for _, answer := range answers {
		if err := await(t, answer, "the broker's answer"); err != nil {
			t.Error(err)
		}
	}
}
