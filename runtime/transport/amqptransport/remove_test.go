package amqptransport_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// thinking is longer than RabbitMQ gives the leader of a queue, by more than the way to the broker varies on a busy machine.
const thinking = 600 * time.Millisecond

func TestRemoveSparesWhatIsInUse(t *testing.T) {
	t.Parallel()
	tr := open(t)
	s := subscription(t)
	declare(t, tr, s)
	if _, err := tr.Remove(t.Context(), "nowhere", false); !errors.Is(err, transport.ErrUnroutable) {
		t.Errorf("a queue that does not exist: %v, want ErrUnroutable", err)
	}
	_, consumption := consume(t, tr, s)
	if _, err := tr.Remove(t.Context(), s.Queue(), false); !errors.Is(err, transport.ErrInUse) {
		t.Errorf("a queue with a consumer: %v, want ErrInUse", err)
	}
	if err := consumption.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	eventually(t, "it waits", func() bool { return ready(t, tr, s.Queue()) == 1 })
	if _, err := tr.Remove(t.Context(), s.Queue(), false); !errors.Is(err, transport.ErrInUse) {
		t.Errorf("a queue with a message: %v, want ErrInUse", err)
	}
	if n, err := tr.Remove(t.Context(), s.Queue(), true); n != 1 || err != nil {
		t.Errorf("by force: %d messages, %v, want 1", n, err)
	}
	if n := ready(t, tr, s.Queue()); n != -1 {
		t.Errorf("the queue is still there, with %d messages", n)
	}
}

// TestRemoveSparesWhatTheBrokerCannotCount: RabbitMQ answers for a quorum queue whose leader is silent, and what it says then
// is that there is nothing.
func TestRemoveSparesWhatTheBrokerCannotCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		looks    int
		thinking time.Duration
	}{
		"the leader is slow":  {looks: 100, thinking: thinking},
		"the leader is gone":  {looks: 100},
		"the leader was gone": {looks: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t)
			tr, s := openConfig(t, p.config(t)), subscription(t)
			declare(t, tr, s)
			mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
			p.hide(c.looks, c.thinking)
			_, err := tr.Remove(t.Context(), s.Queue(), false)
			if err == nil {
				t.Error("a queue with a message was removed")
			} else if inUse := errors.Is(err, transport.ErrInUse); inUse != (c.looks < 100) && !strings.Contains(err.Error(), "leader") {
				t.Errorf("got %v", err)
			}
			p.hide(0, 0)
			eventually(t, "the message is there", func() bool { return ready(t, tr, s.Queue()) == 1 })
		})
	}
}

func TestRemoveOfAnEmptyQueue(t *testing.T) {
	t.Parallel()
	for _, ordered := range []bool{true, false} {
		tr, s := open(t), subscription(t)
		s.Ordered = ordered
		declare(t, tr, s)
		if n, err := tr.Remove(t.Context(), s.Queue(), false); n != 0 || err != nil {
			t.Errorf("ordered %t: %d messages, %v", ordered, n, err)
		}
		if n := ready(t, tr, s.Queue()); n != -1 {
			t.Errorf("ordered %t: the queue is still there", ordered)
		}
	}
}

// TestALookWaitsForTheLeader: the count of a queue is asked for again while it cannot be true.
func TestALookWaitsForTheLeader(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	tr, s := openConfig(t, p.config(t)), subscription(t)
	declare(t, tr, s)
	mustSend(t, tr, transport.Publication{Topic: s.Topic, Mandatory: true}, newMessage("x"))
	p.hide(2, thinking)
	if got := ready(t, tr, s.Queue()); got != 1 {
		t.Errorf("the queue has %d messages, want 1", got)
	}
	p.hide(100, thinking)
	if queues, err := tr.Queues(t.Context(), s.Queue()); err == nil || !strings.Contains(err.Error(), "leader") {
		t.Errorf("got %v, %v, want an error that names the leader", queues, err)
	}
}
