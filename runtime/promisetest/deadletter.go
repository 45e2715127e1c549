package promisetest

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

func keeping(c transport.Capabilities) bool { return c.DeadLetter != transport.None }

var deadLetters = part{
	name: "dead letters", claimed: keeping,
	refused: func(t *testing.T, s *stage) {
		spec := s.command(func(spec *async.Spec) { spec.Policy.DeadLetter.Disabled = nil })
		unsupported(t, "a subscription with dead letters", s.subscribe(s.runtime(t, first), spec, nothing))
	},
	tests: []test{
		{"what no handler may see is kept at once and as it came", func(t *testing.T, s *stage) {
			spec := s.command()
			rt, stop := s.handle(t, first, spec, func(_ context.Context, c calling) error {
				t.Errorf("a handler was called with %q", c.text)
				return nil
			})
			right := spec.Type
			unfit := map[string]struct {
				payload []byte
				md      map[string]string
			}{
				"wrong-type":  {[]byte("\n\x03abc"), map[string]string{transport.MetaType: "acme.Another"}},
				"undecodable": {[]byte("\xff\xff"), map[string]string{transport.MetaType: right}},
				"too-large":   {make([]byte, 1<<20+1), map[string]string{transport.MetaType: right}},
			}
			for reason, u := range unfit {
				msg := message.NewMessage(reason, u.payload)
				msg.Metadata = message.Metadata{transport.MetaID: reason, "tenant": "blue"}
				maps.Copy(msg.Metadata, u.md)
				s.inject(t, transport.Publication{Topic: s.topic(spec), RoutingKey: right}, msg)
			}
			eventually(t, "all are kept", func() bool { return rt.Stats().DeadLettered == uint64(len(unfit)) })
			stop()
			for _, letter := range s.dead(t, spec, len(unfit)) {
				md := letter.Metadata
				u, known := unfit[md[transport.MetaID]]
				switch {
				case !known || md[transport.MetaDeadReason] != md[transport.MetaID]:
					t.Errorf("message %q is kept for the reason %q", md[transport.MetaID], md[transport.MetaDeadReason])
				case !bytes.Equal(letter.Payload, u.payload) || md["tenant"] != "blue" || md[transport.MetaType] != u.md[transport.MetaType]:
					t.Errorf("message %q is kept with %d bytes and %v", md[transport.MetaID], len(letter.Payload), md)
				}
				withoutStacks(t, letter)
			}
		}},
		{"a dead letter tells where and when it failed", func(t *testing.T, s *stage) {
			spec := s.command()
			rt, stop := s.handle(t, first, spec, func(context.Context, calling) error { return async.Reject(errTrouble) })
			send(t, rt, spec, "rejected", async.WithHeader("tenant", "blue"))
			eventually(t, "it is kept", func() bool { return rt.Stats().DeadLettered == 1 })
			stop()
			md := s.dead(t, spec, 1)[0].Metadata
			if md[transport.MetaDeadTopic] != s.topic(spec) || md[transport.MetaDeadGroup] != group || md["tenant"] != "blue" || !strings.Contains(md[transport.MetaDeadError], "trouble") {
				t.Errorf("the dead letter has %v", md)
			}
			at, firstAt := transport.ParseInstant(md[transport.MetaDeadAt]), transport.ParseInstant(md[transport.MetaDeadFirstAt])
			if at.IsZero() || firstAt.IsZero() || at.Before(firstAt) {
				t.Errorf("it failed first at %v, and was kept at %v", firstAt, at)
			}
		}},
	},
}

func nothing(context.Context, calling) error { return nil }

var replays = part{
	name: "replay", claimed: func(c transport.Capabilities) bool { return keeping(c) && c.Target != transport.None },
	refused: func(t *testing.T, s *stage) {
		err := transport.SenderOf(s.transport(t)).Send(t.Context(), transport.Publication{Topic: s.namespace, Group: group},
			message.NewMessage("1", nil), func(error) {})
		unsupported(t, "a message for one group", err)
	},
	tests: []test{
		{"a dead letter that is sent again reaches the group that failed and no other", func(t *testing.T, s *stage) {
			spec, failed, well := s.event(), make(chan calling, 10), make(chan calling, 10)
			rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
				failed <- c
				if len(c.info.Headers["healed"]) == 0 {
					return async.Reject(errTrouble)
				}
				return nil
			})
			s.handle(t, second, spec, func(_ context.Context, c calling) error {
				well <- c
				return nil
			})
			send(t, rt, spec, "for both", async.WithMessageID("the-same"))
			next(t, failed, "the message, in the group that fails")
			next(t, well, "the message, in the other group")
			eventually(t, "it is kept", func() bool { return rt.Stats().DeadLettered == 1 })
			letter := s.dead(t, spec, 1)[0]
			again := message.NewMessage(letter.UUID, letter.Payload)
			for name, value := range letter.Metadata {
				if !strings.HasPrefix(name, "async-dead-") && name != transport.MetaAttempt {
					again.Metadata.Set(name, value)
				}
			}
			again.Metadata.Set("healed", "yes")
			s.inject(t, transport.Publication{Topic: s.topic(spec), Group: first}, again)
			if c := next(t, failed, "the dead letter that is sent again"); c.info.ID != "the-same" || c.text != "for both" || c.info.Attempt != 1 {
				t.Errorf("it came again as %q with %+v", c.text, c.info)
			}
			silent(t, well, "the other group got it again")
		}},
	},
}
