package amqptransport

import (
	"errors"
	"time"
)

// renewal is the shortest time between two channels of a shard that were given up for their refusals. A queue that is
// full refuses on every channel, and a new one each second costs the broker next to nothing.
const renewal = time.Second

// drainTime is how long a channel that refused a message may take to answer the rest. A node that cannot reach the dead
// leader, and only learns that by waiting, takes seconds for each refusal.
const drainTime = 2 * time.Second

// errGivenUp: the channel refused a message, or leaves sends without an answer. The broker has not closed it.
var errGivenUp = errors.New("the channel was given up: the broker refused a message on it, or gave no answer")

// distrust gives the channel up once everything that was written on it is answered, because the broker refused a message
// there. The next channel may do better: on RabbitMQ 3.10, one that is first used between the death of a queue's leader and
// the election of the next asks the dead leader before each message, and refuses everything for as long as that node is
// away. The caller holds the lock.
func (sh *shard) distrust() {
	if now := time.Now(); now.Sub(sh.distrusted) >= renewal {
		sh.distrusted, sh.spent = now, true
		sh.signal()
	}
}

// exhausted reports whether nothing more is to be written on the channel: it was given up, or is to be and nothing that was
// written on it waits for its answer.
func (sh *shard) exhausted() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.given == nil || (sh.spent && sh.inflight.len() == 0)
}
