package memorytransport_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/transport"
	"github.com/asyncpb/async/runtime/transport/memorytransport"
)

func TestDelayEndsOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := memorytransport.New()
		start := time.Now()
		arrived := make(chan string, 3)
		consume(t, tr, transport.Subscription{Topic: "t", Group: "g", Concurrency: 3}, func(d transport.Delivery) {
			arrived <- fmt.Sprintf("%s after %v", d.Message().UUID, time.Since(start))
			d.Settle(transport.Ack, nil)
		})
		send(t, tr, transport.Publication{Topic: "t", Delay: time.Hour}, "late")
		send(t, tr, transport.Publication{Topic: "t", Delay: time.Minute}, "soon")
		send(t, tr, transport.Publication{Topic: "t", Delay: time.Hour, Expires: start.Add(time.Second)}, "expired")
		got := []string{<-arrived, <-arrived, <-arrived}
		// What expires is dropped by who consumes, who can count it.
		if diff := cmp.Diff([]string{"expired after 1s", "soon after 1m0s", "late after 1h0m0s"}, got); diff != "" {
			t.Errorf("arrivals (-want +got):\n%s", diff)
		}
		synctest.Wait()
		if len(arrived) > 0 {
			t.Errorf("unexpected %s", <-arrived)
		}
		closeTransport(t, tr)
	})
}

func TestExpiryFreesAFullQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := memorytransport.New(memorytransport.WithCapacity(100))
		declare(t, tr, transport.Subscription{Topic: "t", Group: "g"})
		start := time.Now()
		for i := range 100 {
			// Every second one expires, so that the queue is swept and keeps its order.
			p := transport.Publication{Topic: "t"}
			if i%2 == 0 {
				p.Expires = start.Add(time.Minute)
			}
			send(t, tr, p, fmt.Sprint(i))
		}
		send(t, tr, transport.Publication{Topic: "t"}, "waited")
		if took := time.Since(start); took != time.Minute {
			t.Errorf("room was found after %v, want 1m", took)
		}
		want := []string{}
		for i := 1; i < 100; i += 2 {
			want = append(want, fmt.Sprint(i))
		}
		if diff := cmp.Diff(append(want, "waited"), takeAll(t, tr, "t--g")); diff != "" {
			t.Errorf("the queue holds (-want +got):\n%s", diff)
		}
		closeTransport(t, tr)
	})
}

func TestMessageIsStoredInAllQueuesOrInNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := memorytransport.New(memorytransport.WithCapacity(1))
		declare(t, tr, transport.Subscription{Topic: "t", Group: "full"})
		declare(t, tr, transport.Subscription{Topic: "t", Group: "empty"})
		send(t, tr, transport.Publication{Topic: "t", Group: "full"}, "first")
		err := tr.Send(t.Context(), transport.Publication{Topic: "t", Deadline: time.Now().Add(time.Second)}, message.NewMessage("second", nil), func(error) {})
		if !errors.Is(err, transport.ErrBlocked) {
			t.Errorf("got %v, want ErrBlocked", err)
		}
		infos, err := tr.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []transport.QueueInfo{{Name: "t--empty"}, {Name: "t--full", Ready: 1}}
		if diff := cmp.Diff(want, infos); diff != "" {
			t.Errorf("queues (-want +got):\n%s", diff)
		}
		closeTransport(t, tr)
	})
}

func TestRoomGoesToTheSendThatWaitsLongest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := memorytransport.New(memorytransport.WithCapacity(1))
		declare(t, tr, transport.Subscription{Topic: "t", Group: "g"})
		send(t, tr, transport.Publication{Topic: "t"}, "0")
		ended := make(chan error, 3)
		ctx, cancel := context.WithCancel(t.Context())
		for i, ctx := range []context.Context{t.Context(), ctx, t.Context()} {
			go func() {
				ended <- tr.Send(ctx, transport.Publication{Topic: "t"}, message.NewMessage(fmt.Sprint(i+1), nil), func(error) {})
			}()
			synctest.Wait()
		}
		cancel()
		if err := <-ended; !errors.Is(err, transport.ErrBlocked) || !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled send returned %v, want ErrBlocked and Canceled", err)
		}
		var got []string
		for range 3 {
			got = append(got, takeAll(t, tr, "t--g")...)
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"0", "1", "3"}, got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		closeTransport(t, tr)
	})
}

func TestGivenBackMessagesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	broker := memorytransport.NewBroker()
	tr := broker.Open()
	deliveries := make(chan transport.Delivery, 3)
	c := consume(t, tr, transport.Subscription{Topic: "t", Group: "g", Prefetch: 3}, func(d transport.Delivery) { deliveries <- d })
	for i := range 5 {
		send(t, tr, transport.Publication{Topic: "t"}, fmt.Sprint(i))
	}
	<-deliveries
	(<-deliveries).Settle(transport.Ack, nil)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0", "2", "3", "4"}, takeAll(t, tr, "t--g")); diff != "" {
		t.Errorf("the queue holds (-want +got):\n%s", diff)
	}
	closeTransport(t, tr)
}

func TestSettlingInsideReceiveDoesNotHoldTheSender(t *testing.T) {
	t.Parallel()
	tr := memorytransport.New()
	var again func(d transport.Delivery)
	enough := make(chan struct{})
	count := 0
	again = func(d transport.Delivery) {
		if count++; count == 1000 {
			close(enough)
			d.Settle(transport.Ack, nil)
			return
		}
		d.Settle(transport.Requeue, nil)
	}
	consume(t, tr, transport.Subscription{Topic: "t", Group: "g"}, func(d transport.Delivery) { again(d) })
	send(t, tr, transport.Publication{Topic: "t"}, "hot")
	<-enough
	closeTransport(t, tr)
}

func TestAGroupMustBeSubscribedToAlike(t *testing.T) {
	t.Parallel()
	tr := memorytransport.New()
	declare(t, tr, transport.Subscription{Topic: "t", Group: "g"})
	err := tr.Declare(t.Context(), transport.Subscription{Topic: "t", Group: "g", Ordered: true})
	var topology *transport.TopologyError
	if !errors.As(err, &topology) || !errors.Is(err, transport.ErrTopology) {
		t.Fatalf("got %v, want a TopologyError", err)
	}
	const want = `queue "t--g" exists with ordered = false, this contract needs true; subscribe to it in the same way everywhere, or give the group a new name`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	closeTransport(t, tr)
}

func TestTemporaryQueuesGoWithTheirConsumer(t *testing.T) {
	t.Parallel()
	for name, sub := range map[string]transport.Subscription{
		"reply":     {Topic: "inbox", Kind: transport.KindReply},
		"broadcast": {Topic: "t", Group: "p", Broadcast: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := memorytransport.New()
			c := consume(t, tr, sub, func(transport.Delivery) {})
			p := transport.Publication{Topic: sub.Queue(), Direct: true, Mandatory: true, Delay: time.Hour}
			send(t, tr, p, "delayed")
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			outcome := make(chan error, 1)
			if err := tr.Send(t.Context(), p, message.NewMessage("1", nil), func(err error) { outcome <- err }); err != nil {
				t.Fatal(err)
			}
			if err := <-outcome; !errors.Is(err, transport.ErrUnroutable) {
				t.Errorf("got %v, want ErrUnroutable", err)
			}
			closeTransport(t, tr)
		})
	}
}

func TestRemoveSparesWhatIsInUse(t *testing.T) {
	t.Parallel()
	tr := memorytransport.New()
	s := transport.Subscription{Topic: "t", Group: "g", Kind: transport.KindCommand, Concurrency: 1}
	if _, err := tr.Remove(t.Context(), s.Queue(), false); !errors.Is(err, transport.ErrUnroutable) {
		t.Errorf("a queue that does not exist: %v, want ErrUnroutable", err)
	}
	c := consume(t, tr, s, func(transport.Delivery) {})
	if _, err := tr.Remove(t.Context(), s.Queue(), false); !errors.Is(err, transport.ErrInUse) {
		t.Errorf("a queue with a consumer: %v, want ErrInUse", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	send(t, tr, transport.Publication{Topic: "t", Delay: time.Hour}, "delayed")
	send(t, tr, transport.Publication{Topic: "t"}, "waiting")
	if _, err := tr.Remove(t.Context(), s.Queue(), false); !errors.Is(err, transport.ErrInUse) {
		t.Errorf("a queue with messages: %v, want ErrInUse", err)
	}
	if n, err := tr.Remove(t.Context(), s.Queue(), true); n != 2 || err != nil {
		t.Errorf("by force: %d messages, %v, want 2", n, err)
	}
	if queues, err := tr.Queues(t.Context()); len(queues) > 0 || err != nil {
		t.Errorf("left are %v, %v", queues, err)
	}
	closeTransport(t, tr)
}

func TestGroupAliasGetsNoMoreMessages(t *testing.T) {
	t.Parallel()
	tr := memorytransport.New()
	declare(t, tr, transport.Subscription{Topic: "t", Group: "before"})
	send(t, tr, transport.Publication{Topic: "t"}, "old")
	declare(t, tr, transport.Subscription{Topic: "t", Group: "after", GroupAliases: []string{"before"}})
	send(t, tr, transport.Publication{Topic: "t"}, "new")
	for queue, want := range map[string][]string{"t--before": {"old"}, "t--after": {"new"}} {
		if diff := cmp.Diff(want, takeAll(t, tr, queue)); diff != "" {
			t.Errorf("%s holds (-want +got):\n%s", queue, diff)
		}
	}
	closeTransport(t, tr)
}

func consume(t *testing.T, tr *memorytransport.Transport, s transport.Subscription, receive func(transport.Delivery)) transport.Consumption {
	t.Helper()
	c, err := tr.Consume(t.Context(), s, receive)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func declare(t *testing.T, tr *memorytransport.Transport, s transport.Subscription) {
	t.Helper()
	if err := tr.Declare(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func send(t *testing.T, tr *memorytransport.Transport, p transport.Publication, id string) {
	t.Helper()
	outcome := make(chan error, 1)
	if err := tr.Send(t.Context(), p, message.NewMessage(id, []byte(id)), func(err error) { outcome <- err }); err != nil {
		t.Fatalf("send %s: %v", id, err)
	}
	if err := <-outcome; err != nil {
		t.Fatalf("send %s: %v", id, err)
	}
}

func takeAll(t *testing.T, tr *memorytransport.Transport, queue string) []string {
	t.Helper()
	taken, err := tr.Take(t.Context(), queue, 1000)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(taken))
	for i, d := range taken {
		ids[i] = d.Message().UUID
		d.Settle(transport.Ack, nil)
	}
	return ids
}

func closeTransport(t *testing.T, tr transport.Transport) {
	t.Helper()
	if err := tr.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}
