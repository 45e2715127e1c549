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
	// ladderReserve is kept free on top in a delayed message, to which each level adds an entry of x-death.
	ladderReserve = levels * 256
	// frameOverhead is the frame around the properties, and their fixed part.
	frameOverhead = 8 + 14 + 4 + 1 + 8
)

// checkLimits refuses what AMQP cannot carry, before it reaches the connection: the client library ends the whole
// connection for a header name that is too long.
func checkLimits(p *amqp.Publishing) error {
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
	if err := p.Headers.Validate(); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	for name := range p.Headers {
		if len(name) > maxShortText {
			return tooLong(fmt.Sprintf("the header name %.32q...", name), len(name))
		}
		if name == "CC" || name == "BCC" {
			return fmt.Errorf("the header %s is RabbitMQ's own and must be a list; write it in lower case", name)
		}
	}
	return nil
}

func tooLong(what string, length int) error {
	return fmt.Errorf("%w: %s has %d bytes, AMQP allows %d", transport.ErrTooLarge, what, length, maxShortText)
}

// checkHeaderFrame refuses headers that do not fit into one frame: the broker would end the whole connection.
func checkHeaderFrame(p *amqp.Publishing, frameSize, reserve int) error {
	if frameSize <= 0 {
		return nil
	}
	size := frameOverhead + tableSize(p.Headers) + len(p.MessageId) + len(p.Type) + len(p.ContentType) +
		len(p.CorrelationId) + len(p.ReplyTo) + len(p.ContentEncoding) + len(p.Expiration) + len(p.UserId) + len(p.AppId) + 9
	if limit := frameSize - reserve; size > limit {
		return fmt.Errorf("%w: the headers take %d bytes, this connection allows %d", transport.ErrTooLarge, size, limit)
	}
	return nil
}

func tableSize(table amqp.Table) int {
	size := 4
	for name, value := range table {
		size += 1 + len(name) + fieldSize(value)
	}
	return size
}

func fieldSize(value any) int {
	switch v := value.(type) {
	case string:
		return 5 + len(v)
	case []byte:
		return 5 + len(v)
	case amqp.Table:
		return 1 + tableSize(v)
	case []any:
		size := 5
		for _, inner := range v {
			size += fieldSize(inner)
		}
		return size
	default:
		return 9
	}
}
