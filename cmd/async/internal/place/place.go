// Package place knows which queues there are: from the flags, from a contract, or from the broker itself.
package place

import (
	"strings"

	"github.com/asyncpb/async/runtime/transport"
)

// Parked is the queue of the broker that takes delayed messages whose target has gone by the time that they are due.
const Parked = "async.delay.parked"

// Place is one group of one topic with its queues. Names are physical.
type Place struct {
	// Transport has the queues.
	Transport transport.Transport
	// Topic and Group are empty for a queue of dead letters that several groups share: there each dead letter says
	// where it comes from.
	Topic, Group string
	// Dead is the queue of dead letters.
	Dead string
	// Note says what is special about the place.
	Note string
}

// Queue is the group's queue; empty for a queue that groups share.
func (p Place) Queue() string {
	if p.Topic == "" {
		return ""
	}
	return transport.QueueName(p.Topic, p.Group)
}

// Name is what people call the place.
func (p Place) Name() string {
	if p.Topic == "" {
		return "queue " + p.Dead
	}
	return p.Topic + ", group " + p.Group
}

// of is the place of a group with a queue of dead letters of its own.
func of(t transport.Transport, topic, group string) Place {
	return Place{Transport: t, Topic: topic, Group: group, Dead: transport.DeadName(topic, group)}
}

// shared is a queue of dead letters by its name. The name of a group's own one says which group that is.
func shared(t transport.Transport, queue string) Place {
	if name, own := strings.CutSuffix(queue, "--dead"); own {
		if topic, group, ok := strings.Cut(name, "--"); ok {
			return of(t, topic, group)
		}
	}
	return Place{Transport: t, Dead: queue}
}
