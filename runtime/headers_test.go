package async

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
)

func TestHeadersCrossTheWire(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "async-h-"} {
		in := Headers{}
		in.Add("Tenant", "blue")
		in.Add("tag", "a,b")
		in.Add("tag", "ü\"")
		in.Add("empty", "")
		md := message.Metadata{"ce-id": "1", "traceparent": "00-…", "async-h-other": "x", "x-death": "y"}
		if prefix != "" {
			delete(md, "async-h-other")
		}
		if err := in.write(md, prefix); err != nil {
			t.Fatal(err)
		}
		want := Headers{"tenant": {"blue"}, "tag": {"a,b", "ü\""}, "empty": {""}}
		if diff := cmp.Diff(want, readHeaders(md, prefix)); diff != "" {
			t.Errorf("prefix %q: %s", prefix, diff)
		}
	}
}

func TestHeadersAreRefused(t *testing.T) {
	t.Parallel()
	many, big := Headers{}, Headers{}
	for i := range maxHeaders + 1 {
		many.Add(fmt.Sprintf("h%d", i), "")
	}
	for i := range 9 {
		big.Add(fmt.Sprintf("h%d", i), strings.Repeat("x", maxHeaderValue))
	}
	tests := []struct {
		name    string
		headers Headers
		limit   bool
		text    string
	}{
		{"a name with a space", Headers{"a b": {""}}, false, "lower case"},
		{"a name with upper case", Headers{"Tenant": {""}}, false, "lower case"},
		{"an empty name", Headers{"": {""}}, false, "lower case"},
		{"a name of 129 bytes", Headers{strings.Repeat("x", 129): {""}}, true, "128"},
		{"a reserved prefix", Headers{"async-attempt": {"9"}}, false, "reserved"},
		{"CloudEvents", Headers{"ce-id": {"9"}}, false, "reserved"},
		{"a trace header", Headers{"traceparent": {"9"}}, false, "reserved"},
		{"the broker's own", Headers{"x-death": {"9"}}, false, "reserved"},
		{"Watermill's own", Headers{"_watermill_message_uuid": {"9"}}, false, "reserved"},
		{"a line break in a value", Headers{"a": {"b\r\nc: d"}}, false, "control character"},
		{"a value over 4 KiB", Headers{"a": {strings.Repeat("x", maxHeaderValue+1)}}, true, "4096"},
		{"65 names", many, true, "64"},
		{"over 32 KiB in all", big, true, "32768"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.headers.write(message.Metadata{}, "")
			if err == nil || !strings.Contains(err.Error(), tt.text) || errors.Is(err, ErrTooLarge) != tt.limit {
				t.Errorf("got %v", err)
			}
		})
	}
	fits := Headers{"a": {strings.Repeat("x", maxHeaderValue)}}
	if err := fits.write(message.Metadata{}, ""); err != nil {
		t.Errorf("a value of exactly 4 KiB passes, got %v", err)
	}
}

func TestSanitizeKeepsOneShortLine(t *testing.T) {
	t.Parallel()
	long := sanitize(strings.Repeat("ü", 400))
	if len(long) > 256 || !strings.HasSuffix(long, "…") || strings.Contains(long, "\ufffd") {
		t.Errorf("%d bytes: %q", len(long), long)
	}
	if got := sanitize("a\r\nlevel=ERROR\x1b[31m\u2028b\xff"); strings.ContainsAny(got, "\r\n\x1b\u2028") || !utf8.ValidString(got) {
		t.Errorf("got %q", got)
	}
	if exact := strings.Repeat("x", 256); sanitize(exact) != exact {
		t.Error("256 bytes are kept whole")
	}
}

func TestRetryDelayStaysInItsBounds(t *testing.T) {
	t.Parallel()
	r := retry{minBackoff: 100, maxBackoff: 1000, multiplier: 2}
	for attempt, want := range map[int]int64{1: 100, 2: 200, 3: 400, 4: 800, 5: 1000, 500: 1000} {
		if got := r.delay(attempt); int64(got) != want {
			t.Errorf("attempt %d: %d, want %d", attempt, got, want)
		}
	}
	r.jitter = 1
	var low, high int
	for range 1000 {
		switch d := r.delay(3); {
		case d < 0 || d > 400:
			t.Fatalf("full jitter gave %d", d)
		case d < 200:
			low++
		default:
			high++
		}
	}
	if low < 300 || high < 300 {
		t.Errorf("full jitter is even: %d low, %d high", low, high)
	}
}
