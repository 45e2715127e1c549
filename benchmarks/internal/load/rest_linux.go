package load

import (
	"syscall"
	"time"
)

// rest pauses with the precision of the system's clock: the runtime's own timers fire up to a millisecond late when the
// process idles, which is more than the latencies to be measured.
func rest(d time.Duration) {
	if d <= 0 {
		return
	}
	left := syscall.NsecToTimespec(d.Nanoseconds())
	for syscall.Nanosleep(&left, &left) == syscall.EINTR { //nolint:errorlint // a system call returns the bare number
	}
}
