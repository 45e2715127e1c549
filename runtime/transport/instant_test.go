package transport_test

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

func TestAnInstantIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]time.Time{
		"the first":              time.Unix(0, 1),
		"now, without its clock": time.Unix(0, time.Now().UnixNano()),
		"the last":               time.Unix(0, math.MaxInt64),
	} {
		if got := transport.ParseInstant(transport.FormatInstant(want)); !got.Equal(want) {
			t.Errorf("%s: %s comes back as %s", name, want, got)
		}
	}
	if got := transport.FormatInstant(time.Unix(1, 5)); got != "1000000005" {
		t.Errorf("one second and five nanoseconds are %q", got)
	}
}

func TestWhatIsNoInstantIsTheZeroTime(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "0", "-1", "tomorrow", "1.5", " 1", strconv.FormatUint(math.MaxInt64+1, 10)} {
		if got := transport.ParseInstant(text); !got.IsZero() {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}
