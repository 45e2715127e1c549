package promisetest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// inOrder is a command whose messages have the keys that the sends name.
func (s *stage) inOrder() *async.Spec {
	return s.command(func(spec *async.Spec) { spec.Policy.Ordering = async.OrderingByKey })
}

var orders = part{
	name: "order by key", claimed: func(c transport.Capabilities) bool { return c.Order != transport.None },
	refused: func(t *testing.T, s *stage) {
		rt, spec := s.runtime(t, first), s.inOrder()
		unsupported(t, "a subscription in order", s.subscribe(rt, spec, nothing))
		unsupported(t, "a send in order", async.NewPublisher[*wrapperspb.StringValue](rt, spec).Send(t.Context(), wrapperspb.String(""), async.WithKey("a")))
	},
	tests: []test{
		{"the messages of a key are handled one after the other through failures", func(t *testing.T, s *stage) {
			const keys, steps = 4, 6
			var (
				mu      sync.Mutex
				handled = make(map[string][]string)
				active  = make(map[string]bool)
				failed  = make(map[string]bool)
				done    = make(chan struct{}, keys*steps)
			)
			spec := s.inOrder()
			rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
				mu.Lock()
				overlap := active[c.info.Key]
				active[c.info.Key] = true
				mu.Unlock()
				if overlap {
					t.Errorf("two messages of key %s are handled at once", c.info.Key)
				}
				mu.Lock()
				defer mu.Unlock()
				active[c.info.Key] = false
				if strings.HasSuffix(c.text, "2") && !failed[c.info.Key] {
					failed[c.info.Key] = true
					return errTrouble
				}
				handled[c.info.Key] = append(handled[c.info.Key], c.text)
				done <- struct{}{}
				return nil
			})
			for step := range steps {
				for key := range keys {
					send(t, rt, spec, fmt.Sprint("step ", step), async.WithKey(strconv.Itoa(key)))
				}
			}
			for range keys * steps {
				next(t, done, "a message")
			}
			mu.Lock()
			defer mu.Unlock()
			for key, got := range handled {
				for i, text := range got {
					if text != fmt.Sprint("step ", i) {
						t.Errorf("key %s was handled as %q", key, got)
						break
					}
				}
			}
		}},
	},
}
