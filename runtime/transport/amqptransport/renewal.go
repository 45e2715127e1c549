package amqptransport

import (
	"errors"
	"time"
)

// renewal is the shortest time between two channels of a shard that were given up for their refusals. A queue that is
// full refuses on every channel, and a new one each second costs the broker next to nothing.
const renewal = time.Second

// errDistrusted: the broker refused what was sent on the channel.
var errDistrusted = errors.New("the broker refused a message on this channel")

// distrust gives the channel up once everything that was written on it is answered, because the broker refused a message
// there. The next channel may do better: up to RabbitMQ 3.10 at least, one that is first used between the death of a queue's leader
// and the election of the next looks for the dead leader each time, and refuses everything for as long as that node is
// away. The caller holds the lock.
func (sh *shard) distrust() {
	if now := time.Now(); now.Sub(sh.distrusted) >= renewal {
		sh.distrusted, sh.spent = now, true
		sh.signal()
	}
}

// exhausted reports whether the channel was given up, and nothing that was written on it waits for its answer.
func (sh *shard) exhausted() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.spent && sh.inflight.len() == 0
}
