package stranger

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// DeclareTopic makes the exchange of a topic: section 6, "topic".
func (s *Stranger) DeclareTopic(topic string) error {
	if err := s.channel.ExchangeDeclare(topic, "topic", true, false, false, false, nil); err != nil {
		return fmt.Errorf("stranger: declare exchange %q: %w", topic, err)
	}
	return nil
}

// DeclareGroup makes everything that a consumer of topic in group needs, and returns the queue to consume: section 6,
// "topic", "group" and "dead letters".
func (s *Stranger) DeclareGroup(topic, group string, ordered bool) (queue string, err error) {
	if err := s.DeclareTopic(topic); err != nil {
		return "", err
	}
	queue = topic + "--" + group
	dead := queue + "--dead"
	if err := s.declare(dead, amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int32(2147483647)}); err != nil {
		return "", err
	}
	arguments := amqp.Table{
		"x-queue-type":              "quorum",
		"x-delivery-limit":          int32(100),
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": dead,
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
	}
	if ordered {
		arguments["x-single-active-consumer"] = true
	}
	if err := s.declare(queue, arguments); err != nil {
		return "", err
	}
	if err := s.channel.QueueBind(queue, "#", topic, false, nil); err != nil {
		return "", fmt.Errorf("stranger: bind queue %q: %w", queue, err)
	}
	return queue, nil
}

// DeclareReplies makes a reply queue: section 6, "replies".
func (s *Stranger) DeclareReplies(queue string) error { return s.declare(queue, temporary()) }

// DeclareBroadcast makes the queue of a broadcast group: section 6, "broadcast".
func (s *Stranger) DeclareBroadcast(topic, group string) (queue string, err error) {
	queue = topic + "--" + group
	if err := s.declare(queue, temporary()); err != nil {
		return "", err
	}
	if err := s.channel.QueueBind(queue, "#", topic, false, nil); err != nil {
		return "", fmt.Errorf("stranger: bind queue %q: %w", queue, err)
	}
	return queue, nil
}

func temporary() amqp.Table {
	return amqp.Table{"x-queue-type": "classic", "x-expires": int32(60000)}
}

// declare makes a queue; every queue of the contract is durable.
func (s *Stranger) declare(queue string, arguments amqp.Table) error {
	if _, err := s.channel.QueueDeclare(queue, true, false, false, false, arguments); err != nil {
		return fmt.Errorf("stranger: declare queue %q: %w", queue, err)
	}
	return nil
}
