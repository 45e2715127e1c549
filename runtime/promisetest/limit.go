package promisetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	async "github.com/asyncpb/async/runtime"
	"github.com/asyncpb/async/runtime/transport"
)

// mebibyte is the default of max_message_bytes.
const mebibyte = 1 << 20

var limits = part{name: "limits", tests: []test{
	{"a message of 1 MiB passes and one byte more does not", func(t *testing.T, s *stage) {
		spec, got := s.command(), make(chan int, 10)
		rt, _ := s.handle(t, first, spec, func(_ context.Context, c calling) error {
			got <- len(c.text)
			return nil
		})
		text := strings.Repeat("x", mebibyte)
		text = text[proto.Size(wrapperspb.String(text))-mebibyte:]
		p := async.NewPublisher[*wrapperspb.StringValue](rt, spec)
		must(t, p.Send(t.Context(), wrapperspb.String(text)))
		if n := next(t, got, "the message"); n != len(text) {
			t.Errorf("%d bytes came, of %d", n, len(text))
		}
		err := p.Send(t.Context(), wrapperspb.String(text+"x"))
		if !errors.Is(err, transport.ErrTooLarge) || !strings.Contains(err.Error(), "1048577") || !strings.Contains(err.Error(), "1048576") {
			t.Errorf("one byte more: %v, want %v with both figures", err, transport.ErrTooLarge)
		}
		silent(t, got, "it was handled")
	}},
	{"a header that breaks a limit is refused with a name and a figure", func(t *testing.T, s *stage) {
		spec := s.command()
		rt, _ := s.handle(t, first, spec, nothing)
		p := async.NewPublisher[*wrapperspb.StringValue](rt, spec)
		for name, row := range map[string]struct {
			option async.SendOption
			want   error
		}{
			"a value of 4 KiB and a byte":   {async.WithHeader("note", strings.Repeat("x", 4<<10+1)), transport.ErrTooLarge},
			"a name of 129 bytes":           {async.WithHeader(strings.Repeat("n", 129), "x"), transport.ErrTooLarge},
			"a name that is reserved":       {async.WithHeader("ce-id", "x"), async.ErrInvalid},
			"a line break":                  {async.WithHeader("note", "a\r\nb"), async.ErrInvalid},
			"a key of 257 bytes":            {async.WithKey(strings.Repeat("k", 257)), transport.ErrTooLarge},
			"an id that is no name":         {async.WithMessageID("a b"), async.ErrInvalid},
			"a delay of a week and an hour": {async.WithDelay(169 * 3600e9), transport.ErrTooLarge},
		} {
			if err := p.Send(t.Context(), wrapperspb.String(""), row.option); !errors.Is(err, row.want) {
				t.Errorf("%s: %v, want %v", name, err, row.want)
			}
		}
	}},
}}
