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

// hasten ends a channel that has left its oldest send without an answer for too long, so that what is in flight is sent
// again, with the same ids. A broker that is slow but alive gets twice as long the next time. One that says it is blocked
// is not held to anything.
func (sh *shard) hasten(now time.Time) {
	sh.mu.Lock()
	if sh.inflight.len() == 0 || sh.t.publish.state() != nil {
		sh.heard = now
	}
	silence := now.Sub(sh.heard)
	if silence < sh.patience {
		sh.mu.Unlock()
		return
	}
	sh.heard = now
	sh.patience *= 2
	stuck, waiting := sh.channel, sh.inflight.len()
	sh.mu.Unlock()
	sh.t.logger.Warn("the broker leaves sends without an answer: they are sent again on another channel", "sends", waiting, "silence", silence)
	// It returns when the broker has agreed, or the connection is over.
	sh.t.work.Go(func() { _ = stuck.Close() })
}
