package transport_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// senderFunc is a Sender made of a function.
type senderFunc func(p transport.Publication, msg *message.Message, done func(error)) error

func (f senderFunc) Send(_ context.Context, p transport.Publication, msg *message.Message, done func(error)) error {
	return f(p, msg, done)
}

func TestPublishWaitsForAllAndNamesThoseThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused, nacked := errors.New("refused"), errors.New("nacked")
		tried := 0
		p := transport.NewPublisher(senderFunc(func(_ transport.Publication, msg *message.Message, done func(error)) error {
			tried++
			switch msg.UUID {
			case "later":
				time.AfterFunc(time.Hour, func() { done(nacked) })
			case "refused":
				return refused
			default:
				done(nil)
			}
			return nil
		}))
		start := time.Now()
		err := p.Publish("t", message.NewMessage("ok", nil), message.NewMessage("later", nil), message.NewMessage("refused", nil), message.NewMessage("ok", nil))
		if !errors.Is(err, refused) || !errors.Is(err, nacked) {
			t.Fatalf("got %v, want both errors", err)
		}
		const want = "publish to \"t\": message 2: refused\nmessage 1: nacked"
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
		if took := time.Since(start); took != time.Hour {
			t.Errorf("returned after %v, the last outcome came after 1h", took)
		}
		if tried != 3 {
			t.Errorf("%d messages were handed over, want 3: those up to the refused one", tried)
		}
	})
}

func TestPublishTakesRouteAndBoundsFromTheMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got transport.Publication
		p := transport.NewPublisher(senderFunc(func(p transport.Publication, _ *message.Message, done func(error)) error {
			got = p
			done(nil)
			return nil
		}))
		msg := message.NewMessage("1", nil)
		msg.Metadata.Set(transport.MetaType, "acme.Placed")
		msg.Metadata.Set(transport.MetaKey, "7")
		if err := p.Publish("t", msg); err != nil {
			t.Fatal(err)
		}
		want := transport.Publication{Topic: "t", RoutingKey: "acme.Placed", Key: "7", Deadline: time.Now().Add(30 * time.Second)}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		msg.SetContext(ctx)
		if err := p.Publish("t", msg); err != nil {
			t.Fatal(err)
		}
		if deadline := time.Now().Add(time.Minute); !got.Deadline.Equal(deadline) {
			t.Errorf("the deadline is %v, want that of the message's context, %v", got.Deadline, deadline)
		}
	})
}
