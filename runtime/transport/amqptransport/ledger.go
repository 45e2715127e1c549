package amqptransport

// ledger knows which delivery tags of a channel are settled, so that acks of a complete prefix travel as one frame. That
// saves the broker work, and it keeps a burst of acks short: a quorum queue takes only a few dozen commands of one channel
// ahead of its log, and what waits behind them is forgotten when the channel ends. A channel numbers its deliveries from 1.
// The zero value is ready to use; it is not safe for concurrent use.
type ledger struct {
	prefix  uint64              // every tag up to here is settled
	settled map[uint64]struct{} // settled tags above prefix
}

// settle notes a tag as settled.
func (l *ledger) settle(tag uint64) {
	if tag != l.prefix+1 {
		if l.settled == nil {
			l.settled = make(map[uint64]struct{})
		}
		l.settled[tag] = struct{}{}
		return
	}
	l.prefix++
	for len(l.settled) > 0 {
		if _, next := l.settled[l.prefix+1]; !next {
			return
		}
		l.prefix++
		delete(l.settled, l.prefix)
	}
}

// multiple returns the highest of the acks that lies in the settled prefix, if at least two do: one ack with the flag
// multiple stands for all of them. Otherwise it returns 0.
func (l *ledger) multiple(acks []outcome) (tag uint64) {
	covered := 0
	for _, o := range acks {
		if o.tag <= l.prefix {
			covered++
			tag = max(tag, o.tag)
		}
	}
	if covered < 2 {
		return 0
	}
	return tag
}
