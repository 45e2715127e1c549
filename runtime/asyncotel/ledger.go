package asyncotel

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// counted is something that is counted.
type counted int

const (
	countedSent counted = iota
	countedConsumed
	countedSkew
	countedRetries
	countedRedeliveries
	countedDeadLettered
	countedDeadLetterFailures
	countedInterruptions
	// countedMetrics is how many of these are metrics by themselves; what follows is begun and ended.
	countedMetrics
)

const (
	begunSend counted = iota + countedMetrics
	endedSend
	begunProcess
	endedProcess
	countedKinds
)

// tally counts for one set of attributes. To count costs a message one atomic addition: the SDK asks for the sums when it collects,
// so no message waits for it.
type tally struct {
	counts  [countedKinds]atomic.Int64
	options []metric.ObserveOption
}

// add counts. A nil tally, that of an operation without counters, does not.
func (t *tally) add(c counted, n int) {
	if t != nil {
		t.counts[c].Add(int64(n))
	}
}

// ledger is all tallies: one for each set of attributes, since a collection reports a set once.
type ledger struct {
	mu      sync.Mutex
	bySet   map[attribute.Distinct]*tally
	tallies []*tally
}

// of returns the tally for a set of attributes.
func (l *ledger) of(attributes []attribute.KeyValue) *tally {
	set := attribute.NewSet(attributes...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.bySet[set.Equivalent()]; t != nil {
		return t
	}
	if l.bySet == nil {
		l.bySet = make(map[attribute.Distinct]*tally)
	}
	t := &tally{options: []metric.ObserveOption{metric.WithAttributeSet(set)}}
	l.bySet[set.Equivalent()], l.tallies = t, append(l.tallies, t)
	return t
}

// counters are the instruments that report a ledger.
type counters struct {
	ledger    ledger
	collected atomic.Bool // somebody reads them

	metrics         [countedMetrics]metric.Int64ObservableCounter
	pending, active metric.Int64ObservableUpDownCounter
}

// instruments are all of them, as a callback has to name them.
func (c *counters) instruments() []metric.Observable {
	all := []metric.Observable{c.pending, c.active}
	for _, m := range c.metrics {
		all = append(all, m)
	}
	return all
}

// report tells a collection what was counted. What was never counted is not there.
func (c *counters) report(_ context.Context, o metric.Observer) error {
	c.collected.Store(true)
	c.ledger.mu.Lock()
	tallies := c.ledger.tallies // only ever appended to
	c.ledger.mu.Unlock()
	for _, t := range tallies {
		for kind, instrument := range c.metrics {
			if n := t.counts[kind].Load(); n != 0 {
				o.ObserveInt64(instrument, n, t.options...)
			}
		}
		underWay(o, c.pending, t, begunSend, endedSend)
		underWay(o, c.active, t, begunProcess, endedProcess)
	}
	return nil
}

func underWay(o metric.Observer, instrument metric.Int64Observable, t *tally, begun, ended counted) {
	// What has ended was begun before: read in this order the difference is never below zero.
	done := t.counts[ended].Load()
	if n := t.counts[begun].Load(); n != 0 {
		o.ObserveInt64(instrument, n-done, t.options...)
	}
}
