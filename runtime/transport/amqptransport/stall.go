package amqptransport

import "time"

// silences is how many heartbeats a channel may leave its oldest send without an answer. After as many a connection counts
// as dead; a channel can be as dead on a connection that lives: a RabbitMQ node that does not know yet that a queue's
// leader has gone forwards what it is sent to nobody, and never comes back to it.
const silences = 2

// listen begins to wait for the broker's answer to the oldest send in flight. The caller holds the lock.
func (sh *shard) listen() { sh.heard = time.Now() }

// hear notes that the oldest send was answered. The caller holds the lock.
func (sh *shard) hear() {
	sh.listen()
	sh.patience = silences * sh.t.settings.heartbeat
}

// hasten gives up a channel that has left its oldest send without an answer for too long, so that what is in flight is sent
// again, with the same ids. A broker that is slow but alive gets twice as long the next time. One that says it is blocked
// is not held to anything.
func (sh *shard) hasten(now time.Time) {
	waiting, silence := sh.overdue(now)
	if waiting > 0 {
		sh.t.logger.Warn("the broker leaves sends without an answer: they are sent again on another channel", "sends", waiting, "silence", silence)
	}
}

// overdue gives up a channel that is to be given up, and returns how many sends have waited for its answer, for how long.
func (sh *shard) overdue(now time.Time) (waiting int, silence time.Duration) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	waiting = sh.inflight.len()
	if waiting == 0 || sh.given == nil || sh.t.publish.state() != nil {
		sh.heard = now
		return 0, 0
	}
	silence = now.Sub(sh.heard)
	switch {
	case sh.spent && now.Sub(sh.distrusted) >= drainTime:
	case silence >= sh.patience:
		sh.patience *= 2
	default:
		return 0, 0
	}
	close(sh.given)
	sh.given = nil
	return waiting, silence
}
