package transport

import (
	"strconv"
	"time"
)

// ParseInstant reads a time as metadata has it: Unix nanoseconds, decimal. Text that is none, or not after 1970, is the zero
// time: what a stranger has written is no reason to refuse his message.
func ParseInstant(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	ns, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ns <= 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// FormatInstant writes a time for metadata: Unix nanoseconds, decimal. It is meant for times from 1970 to 2262.
func FormatInstant(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }
