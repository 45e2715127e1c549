package amqptransport

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

const (
	// maxShortText is the length of AMQP's short strings: names, native properties and header names.
	maxShortText = 255
	// frameReserve is kept free in the frame of the headers for the broker, which adds its own on redelivery and
	// dead-lettering and could not hand the message out if they did not fit.
	frameReserve = 4096
	// directReserve is enough where nothing is dead-lettered from: there the broker adds a count of deliveries at most.
	// A dead letter has all the headers of a message that may have come with a full frame, and its own.
	directReserve = 256
	// ladderReserve is kept free on top in a delayed message, to which each level adds an entry of x-death.
	ladderReserve = levels * 256
)

// checkLimits refuses what AMQP cannot carry, before it reaches the connection: the broker, or the client library, would
// end the whole connection.
func checkLimits(p *amqp.Publishing) error {
	if err := checkProperties(p); err != nil {
		return err
	}
	if err := p.Headers.Validate(); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	for name := range p.Headers {
		if err := checkHeaderName(name); err != nil {
			return err
		}
	}
	return nil
}

func checkProperties(p *amqp.Publishing) error {
	for _, property := range [...]struct{ name, value string }{
		{"message-id", p.MessageId},
		{"type", p.Type},
		{"content-type", p.ContentType},
		{"correlation-id", p.CorrelationId},
		{"reply-to", p.ReplyTo},
		{"content-encoding", p.ContentEncoding},
		{"expiration", p.Expiration},
		{"user-id", p.UserId},
		{"app-id", p.AppId},
	} {
		if len(property.value) > maxShortText {
			return tooLong("the property "+property.name, len(property.value))
		}
	}
	return nil
}

func checkHeaderName(name string) error {
	if len(name) > maxShortText {
		return tooLong(fmt.Sprintf("the header name %.32q...", name), len(name))
	}
	if name == "CC" || name == "BCC" {
		return fmt.Errorf("the header %s is RabbitMQ's own and must be a list; write it in lower case", name)
	}
	return nil
}

func tooLong(what string, length int) error {
	return fmt.Errorf("%w: %s has %d bytes, AMQP allows %d", transport.ErrTooLarge, what, length, maxShortText)
}

// checkHeaderFrame refuses headers that do not fit into one frame: the broker would end the whole connection.
func checkHeaderFrame(header []byte, frameSize, reserve int) error {
	if frameSize <= 0 {
		return nil
	}
	if size, limit := len(header)+frameSurplus, frameSize-reserve; size > limit {
		return fmt.Errorf("%w: the headers take %d bytes, this connection allows %d", transport.ErrTooLarge, size, limit)
	}
	return nil
}
