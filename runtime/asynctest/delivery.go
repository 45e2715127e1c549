package asynctest

import (
	"errors"
	"strconv"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// delivery is one delivery under the eyes of the journal, whose lock guards what changes.
type delivery struct {
	transport.Delivery

	tap    *tap
	sub    transport.Subscription
	number string

	seen    bool        // a handler got it, inside the interceptors
	retried bool        // it was stored again for another attempt
	dead    *DeadLetter // it was stored as a dead letter
}

// deliver numbers a delivery.
func (j *journal) deliver(t *tap, s transport.Subscription, d transport.Delivery) *delivery {
	x := &delivery{Delivery: d, tap: t, sub: s}
	j.change(func() {
		j.numbers++
		x.number = strconv.Itoa(j.numbers)
		j.open[x.number] = x
	})
	d.Message().Metadata[metaDelivery] = x.number
	return x
}

// Settle lists what came of the delivery. One that was handled goes back to its queue when it is to come twice.
func (d *delivery) Settle(o transport.Outcome, done func(error)) {
	j := d.tap.journal
	j.change(func() {
		delete(j.open, d.number)
		if d.sub.Kind == transport.KindReply || o != transport.Ack {
			return
		}
		if !d.seen {
			j.unseen(d)
		}
		if j.repeat(d) {
			o = transport.Requeue
		}
	})
	d.Delivery.Settle(o, func(err error) {
		if done != nil {
			done(err)
		}
		j.change(func() {})
	})
}

// repeat reports whether a delivery that is to be acknowledged shall come again. The lock is held.
func (j *journal) repeat(d *delivery) bool {
	key := d.sub.Queue() + " " + d.Message().UUID
	if j.repeats[key] {
		delete(j.repeats, key)
		return false
	}
	if !d.tap.twice.Load() || d.retried || d.dead != nil {
		return false
	}
	j.repeats[key] = true
	return true
}

// unseen lists a message that was taken off its queue without a handler that interceptors can see: that of a batch, or the
// one who settled it by hand. What no handler saw at all is not listed: it expired, or it was not fit to be seen. The lock is
// held.
func (j *journal) unseen(d *delivery) {
	md := d.Message().Metadata
	if deadline := transport.ParseInstant(md[transport.MetaDeadline]); !deadline.IsZero() && !time.Now().Before(deadline) {
		return
	}
	a := Attempt{
		RPC: j.rpcs[d.sub.Topic], Group: d.sub.Group, ID: d.Message().UUID, Number: attemptOf(md),
		Message: j.decode(md, d.Message().Payload),
	}
	switch {
	case d.retried:
		a.Verdict = ErrTriedAgain
	case d.dead != nil && !d.dead.attempted():
		return
	case d.dead != nil:
		// A message that is ordered by key is held for its attempts, and only the last one shows here.
		a.Verdict, a.Number = errors.New(d.dead.Error), d.dead.Attempts
	}
	j.attempts = append(j.attempts, a)
}

// attemptOf reads the number of an attempt; the first one is not written down.
func attemptOf(md map[string]string) int {
	n, err := strconv.Atoi(md[transport.MetaAttempt])
	if err != nil {
		return 1
	}
	return n
}
