// Package letter is about dead letters: reading them, picking some, and bringing them back to life.
package letter

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/cmd/async/internal/place"
	"github.com/asyncpb/async/runtime/transport"
)

// ByBroker is the reason of a dead letter that has none of its own: the broker itself has put it aside, because it was
// handed out too often without an acknowledgement.
const ByBroker = "broker"

// Parked is the reason of a delayed message whose target had gone when it was due.
const Parked = "parked"

// Letter is one dead letter, or one parked message.
type Letter struct {
	// Message is the dead letter as it lies in its queue.
	Message *message.Message
	// Topic and Group are where it failed, by their physical names; empty where nothing says so. A parked message
	// without a group was on its way to all groups of its topic.
	Topic, Group string
	// Queue is where it lies.
	Queue string
	// ID, Type and Key are the message's own.
	ID, Type, Key string
	// Reason, Error and Attempts say how it failed. Attempts is 0 where that is not known.
	Reason, Error string
	Attempts      int
	// The zero time means that nothing is said.
	CreatedAt, FirstAt, DeadAt, Deadline time.Time
}

// read makes a Letter of what lies in the queue of dead letters of a place. The name of a group's own queue is believed, and
// not what the message says.
func read(p place.Place, msg *message.Message) *Letter {
	md := msg.Metadata
	l := &Letter{
		Message: msg, Queue: p.Dead, Topic: p.Topic, Group: p.Group,
		ID: md[transport.MetaID], Type: md[transport.MetaType], Key: md[transport.MetaKey],
		Reason: md[transport.MetaDeadReason], Error: md[transport.MetaDeadError],
		CreatedAt: at(md, transport.MetaCreatedAt), FirstAt: at(md, transport.MetaDeadFirstAt),
		DeadAt: at(md, transport.MetaDeadAt), Deadline: at(md, transport.MetaDeadline),
	}
	if l.ID == "" {
		l.ID = msg.UUID
	}
	if l.Topic == "" {
		l.Topic, l.Group = md[transport.MetaDeadTopic], md[transport.MetaDeadGroup]
	}
	switch {
	case l.parked():
		l.Reason = Parked
		l.Topic, l.Group = destination(md[transport.MetaDelayTarget])
	case l.Reason == "":
		l.Reason = ByBroker
	}
	if n, err := strconv.Atoi(md[transport.MetaAttempt]); err == nil && n > 0 {
		l.Attempts = n
	}
	return l
}

func (l *Letter) parked() bool { return l.Queue == place.Parked }

// destination reads where a parked message was going: "topic:<topic>" or "queue:<queue>".
func destination(target string) (topic, group string) {
	if topic, ok := strings.CutPrefix(target, "topic:"); ok {
		return topic, ""
	}
	if queue, ok := strings.CutPrefix(target, "queue:"); ok {
		if topic, group, ok := strings.Cut(queue, "--"); ok {
			return topic, group
		}
	}
	return "", ""
}

func at(md message.Metadata, name string) time.Time {
	t := transport.ParseInstant(md[name])
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// Expired reports whether the time is over in which the message was worth handling.
func (l *Letter) Expired(now time.Time) bool { return !l.Deadline.IsZero() && !now.Before(l.Deadline) }

// revived is the message for its group: the same id, bytes and metadata, without what its failure has added. Without the
// number of attempts, it gets all of them again. An expired one loses its deadline, or nobody would handle it.
func (l *Letter) revived(now time.Time) *message.Message {
	msg := message.NewMessage(l.Message.UUID, l.Message.Payload)
	msg.Metadata = maps.Clone(l.Message.Metadata)
	for name := range msg.Metadata {
		if strings.HasPrefix(name, transport.PrefixAsync+"dead-") {
			delete(msg.Metadata, name)
		}
	}
	delete(msg.Metadata, transport.MetaAttempt)
	delete(msg.Metadata, transport.MetaDelayTarget)
	if l.Expired(now) {
		delete(msg.Metadata, transport.MetaDeadline)
	}
	msg.Metadata[transport.MetaSentAt] = transport.FormatInstant(now)
	return msg
}
