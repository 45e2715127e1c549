package transport

import (
	"errors"
	"fmt"
)

// Queue is the physical name of the subscription's queue: the address itself for [KindReply], otherwise
// [QueueName] of topic and group.
func (s Subscription) Queue() string {
	if s.Kind == KindReply {
		return s.Topic
	}
	return QueueName(s.Topic, s.Group)
}

// InFlight is how many deliveries may be out and unsettled at once: Prefetch, at least Concurrency and at least 1.
func (s Subscription) InFlight() int { return max(s.Prefetch, s.Concurrency, 1) }

// Validate returns an error for what no broker can subscribe to: a missing topic or group, a group on a reply
// address, or a name over [MaxNameBytes]. A driver calls it before it declares anything. Kind zero is [KindEvent].
func (s Subscription) Validate() error {
	if s.Topic == "" {
		return errors.New("a subscription needs a topic")
	}
	switch {
	case s.Kind > KindReply:
		return fmt.Errorf("subscription to %q: unknown kind %d", s.Topic, s.Kind)
	case s.Kind == KindReply && s.Group != "":
		return fmt.Errorf("subscription to the reply address %q: it is private and takes no group; leave Group %q out", s.Topic, s.Group)
	case s.Kind != KindReply && s.Group == "":
		return fmt.Errorf("subscription to %q: it needs a group; set Group to the name that its consumers share", s.Topic)
	}
	names := []string{s.Queue(), s.DeadTopic}
	names = append(names, s.Aliases...)
	for _, group := range s.GroupAliases {
		names = append(names, QueueName(s.Topic, group))
	}
	for _, name := range names {
		if len(name) > MaxNameBytes {
			return fmt.Errorf("the name %.40q… has %d bytes, at most %d are allowed: %w", name, len(name), MaxNameBytes, ErrTooLarge)
		}
	}
	return nil
}
