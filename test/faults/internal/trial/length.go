package trial

import (
	"fmt"
	"time"
)

// Length is how long faults last, and how often they are repeated. The zero value is the short form.
type Length struct {
	// Full has them last as long as the documentation says, within the bounds below.
	Full bool
	// AtMost bounds what lasts; 0 is no bound.
	AtMost time.Duration
	// Times bounds what is repeated; 0 is no bound.
	Times int
}

// String names the form as results do.
func (l Length) String() string {
	switch {
	case !l.Full:
		return "short"
	case l.AtMost > 0 && l.Times > 0:
		return fmt.Sprintf("at most %s, %d times", l.AtMost, l.Times)
	case l.AtMost > 0:
		return fmt.Sprintf("at most %s", l.AtMost)
	case l.Times > 0:
		return fmt.Sprintf("at most %d times", l.Times)
	default:
		return "full"
	}
}

// length picks how long something lasts.
func (l Length) length(short, full time.Duration) time.Duration {
	switch {
	case !l.Full:
		return short
	case l.AtMost > 0:
		return min(full, l.AtMost)
	default:
		return full
	}
}

// often picks how often something happens.
func (l Length) often(short, full int) int {
	switch {
	case !l.Full:
		return short
	case l.Times > 0:
		return min(full, l.Times)
	default:
		return full
	}
}
