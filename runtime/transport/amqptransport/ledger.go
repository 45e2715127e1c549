package amqptransport

// ledger knows which delivery tags of a channel are settled, so that acks of a complete prefix travel as one frame. That
// saves the broker work, and it keeps a burst of acks short: a quorum queue takes only a few dozen commands of one channel
// ahead of its log, and what waits behind them is forgotten when the channel ends. A channel numbers its deliveries from 1.
// A tag costs a bit from its settlement until every earlier one is settled too. The zero value is ready to use; it is not
// safe for concurrent use.
type ledger struct {
	prefix uint64   // every tag up to here is settled
	words  []uint64 // a bit for each later tag, 64 in a word
	base   uint64   // the tag of the first bit; 1 + a multiple of 64
}

// settle notes a tag as settled.
func (l *ledger) settle(tag uint64) {
	if l.base == 0 {
		l.base = 1
	}
	if tag < l.base {
		return
	}
	at := tag - l.base
	for uint64(len(l.words)) <= at/64 {
		l.words = append(l.words, 0)
	}
	l.words[at/64] |= 1 << (at % 64)
	for l.isSet(l.prefix + 1) {
		l.prefix++
		if l.prefix-l.base == 63 {
			l.words = l.words[1:]
			l.base += 64
		}
	}
}

func (l *ledger) isSet(tag uint64) bool {
	at := tag - l.base
	return at/64 < uint64(len(l.words)) && l.words[at/64]&(1<<(at%64)) != 0
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
