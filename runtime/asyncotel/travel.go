package asyncotel

import (
	"context"
	"time"

	async "github.com/asyncpb/async/runtime"
)

// travel is the way of a message, as its headers tell when it began.
type travel struct{ created, sent time.Time }

func travelOf(from *origin) travel { return travel{created: from.created, sent: from.sent} }

// duration is how long a travel took.
type duration struct {
	receive, total           time.Duration
	knownReceive, knownTotal bool
	skewed                   bool // a clock is ahead
}

// until is the travel's duration if it ends at a time.
func (t travel) until(end time.Time) (d duration) {
	var receiveSkewed, totalSkewed bool
	d.receive, d.knownReceive, receiveSkewed = since(end, t.sent)
	d.total, d.knownTotal, totalSkewed = since(end, t.created)
	d.skewed = receiveSkewed || totalSkewed
	return d
}

// longest is the longer of two durations, by each of its phases.
func (d duration) longest(other duration) duration {
	return duration{
		receive: max(d.receive, other.receive), knownReceive: d.knownReceive || other.knownReceive,
		total: max(d.total, other.total), knownTotal: d.knownTotal || other.knownTotal,
		skewed: d.skewed || other.skewed,
	}
}

// ends reports whether a message comes to its end with a fate.
func ends(f async.Fate) bool { return f != async.FateRequeue && f != async.FateRetry }

// tell sets what the span of a message's handling says of the travel, and how long it took if it is over.
func (s *spanned) tell(d duration, over bool) {
	if over && d.knownReceive {
		s.set(keyReceiveDuration.Float64(d.receive.Seconds()))
	}
	if over && d.knownTotal {
		s.set(keyTotalDuration.Float64(d.total.Seconds()))
	}
	if d.skewed {
		s.set(keyClockSkew.Bool(true))
	}
}

// arrived records how long a message took that has come to its end.
func (i *instruments) arrived(ctx context.Context, d duration, m *metering) {
	if d.knownReceive {
		i.receive.record(ctx, d.receive.Seconds(), m)
	}
	if d.knownTotal {
		i.total.record(ctx, d.total.Seconds(), m)
	}
}
