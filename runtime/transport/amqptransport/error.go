package amqptransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// inequivalent is RabbitMQ's text for a queue or exchange that exists with another property.
var inequivalent = regexp.MustCompile(`inequivalent arg '([^']*)' for (queue|exchange) '(.*)' in vhost '.*': received (.*) but current is (.*)$`)

// oversized is RabbitMQ's text for a message that is larger than it takes.
var oversized = regexp.MustCompile(`message size (\d+) (?:is )?larger than (?:configured )?max size (\d+)`)

// typedValue is how RabbitMQ writes one value inside such a text.
var typedValue = regexp.MustCompile(`^(?:the value )?'(.*?)'(?: of type '[^']*')?$`)

// topologyError turns the broker's answer to the declaration of entity into the error that a user can act on. Other
// errors pass through, named by entity.
func topologyError(kind, name string, err error) error {
	var broker *amqp.Error
	if err == nil || !errors.As(err, &broker) || !broker.Server {
		return wrap(kind, name, err)
	}
	entity := fmt.Sprintf("%s %q", kind, name)
	switch broker.Code {
	case amqp.PreconditionFailed:
		e := &transport.TopologyError{Entity: entity, Err: err, Remedy: remedy(kind, name)}
		if m := inequivalent.FindStringSubmatch(broker.Reason); m != nil {
			e.Entity = fmt.Sprintf("%s %q", m[2], m[3])
			e.Property, e.Want, e.Have = m[1], bareValue(m[4]), bareValue(m[5])
			e.Remedy = remedy(m[2], m[3])
		}
		return e
	case amqp.ResourceLocked:
		return &transport.TopologyError{
			Entity: entity, Property: "exclusive", Want: "false", Have: "true", Err: err,
			Remedy: "end the program that holds the queue for itself, or delete the queue",
		}
	case amqp.NotFound:
		return fmt.Errorf("%w: %s does not exist; declare it on the broker, or let this program do it with declare: create (%w)",
			transport.ErrTopology, entity, err)
	case amqp.AccessRefused:
		return fmt.Errorf("%s: the broker refuses access; grant this user configure, write and read on it, or declare it with another user and set declare: none (%w)",
			entity, err)
	default:
		return wrap(kind, name, err)
	}
}

func wrap(kind, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", kind, name, err)
}

func remedy(kind, name string) string {
	return fmt.Sprintf("a %s cannot be changed once it exists: let its consumers empty it and delete it (rabbitmqadmin delete %s name='%s'), or choose another topic and keep this one as an alias",
		kind, kind, name)
}

func bareValue(text string) string {
	if m := typedValue.FindStringSubmatch(strings.TrimSpace(text)); m != nil {
		return m[1]
	}
	return text
}

// serverCode is the code of an exception that the broker raised, or 0.
func serverCode(err error) int {
	var broker *amqp.Error
	if errors.As(err, &broker) && broker.Server {
		return broker.Code
	}
	return 0
}

// unreachable reports whether err may pass when the same thing is tried again on a new connection.
func unreachable(err error) bool {
	if broker, ok := errors.AsType[*amqp.Error](err); ok {
		return !broker.Server || broker.Code == amqp.ConnectionForced || broker.Code == amqp.InternalError
	}
	// A write that failed comes back as the socket's own error.
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, errSessionLost) || errors.Is(err, errNoAnswer) ||
		errors.Is(err, context.Canceled)
}
