package amqptransport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// The payload of a header frame is: class, weight, size of the body, flags, and the properties that the flags name, in
// the order of the flags.
const (
	flagContentType     = 1 << 15
	flagContentEncoding = 1 << 14
	flagHeaders         = 1 << 13
	flagDeliveryMode    = 1 << 12
	flagPriority        = 1 << 11
	flagCorrelationID   = 1 << 10
	flagReplyTo         = 1 << 9
	flagExpiration      = 1 << 8
	flagMessageID       = 1 << 7
	flagTimestamp       = 1 << 6
	flagType            = 1 << 5
	flagUserID          = 1 << 4
	flagAppID           = 1 << 3
)

// scratch lends buffers to encoders; what they made is copied out in its final size.
var scratch = sync.Pool{New: func() any { return new(make([]byte, 0, usualHeader)) }}

// usualHeader is how many bytes the header of a message has room in; what needs more grows.
const usualHeader = 1 << 10

// encode makes the header frame's payload of msg by [Marshaler], without a table in between. A target is added to the
// headers.
func encode(msg *message.Message, to target) ([]byte, error) {
	p := nativeProperties(msg)
	if err := checkProperties(&p); err != nil {
		return nil, err
	}
	buffer, _ := scratch.Get().(*[]byte)
	defer scratch.Put(buffer)
	b, table := beginHeader((*buffer)[:0], &p, true)
	for name, value := range msg.Metadata {
		if !travels(name) || name == transport.MetaWatermillUUID || name == transport.MetaDelayTarget {
			continue
		}
		if err := checkHeaderName(name); err != nil {
			return nil, err
		}
		b = appendText(b, name, value)
	}
	b = appendText(b, transport.MetaWatermillUUID, msg.UUID)
	b = endHeader(b, table, &p, to)
	*buffer = b
	return slices.Clone(b), nil
}

// encodePublishing does the same with what a marshaler of the user's has made.
func encodePublishing(p *amqp.Publishing, to target) ([]byte, error) {
	if err := checkLimits(p); err != nil {
		return nil, err
	}
	b, table := beginHeader(nil, p, len(p.Headers) > 0 || to != "")
	for name, value := range p.Headers {
		if brokerHeader(name) || name == transport.MetaDelayTarget {
			continue
		}
		var err error
		if b, err = appendField(appendShort(b, name), value); err != nil {
			return nil, fmt.Errorf("header %q: %w", name, err)
		}
	}
	return endHeader(b, table, p, to), nil
}

// beginHeader writes what comes before the headers. It returns the place of the length of their table, or 0 for no table.
func beginHeader(b []byte, p *amqp.Publishing, headers bool) (header []byte, table int) {
	var flags uint16
	for _, property := range [...]struct {
		there bool
		flag  uint16
	}{
		{p.ContentType != "", flagContentType},
		{p.ContentEncoding != "", flagContentEncoding},
		{headers, flagHeaders},
		{p.DeliveryMode != 0, flagDeliveryMode},
		{p.Priority != 0, flagPriority},
		{p.CorrelationId != "", flagCorrelationID},
		{p.ReplyTo != "", flagReplyTo},
		{p.Expiration != "", flagExpiration},
		{p.MessageId != "", flagMessageID},
		{!p.Timestamp.IsZero(), flagTimestamp},
		{p.Type != "", flagType},
		{p.UserId != "", flagUserID},
		{p.AppId != "", flagAppID},
	} {
		if property.there {
			flags |= property.flag
		}
	}
	b = append(b, 0, classBasic, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(len(p.Body)))
	b = binary.BigEndian.AppendUint16(b, flags)
	b = appendPresent(b, p.ContentType)
	b = appendPresent(b, p.ContentEncoding)
	if headers {
		table = len(b)
		b = append(b, 0, 0, 0, 0)
	}
	return b, table
}

// endHeader completes the table and writes what comes after it.
func endHeader(b []byte, table int, p *amqp.Publishing, to target) []byte {
	if table > 0 {
		if to != "" {
			b = appendText(b, transport.MetaDelayTarget, string(to))
		}
		binary.BigEndian.PutUint32(b[table:], uint32(len(b)-table-4))
	}
	if p.DeliveryMode != 0 {
		b = append(b, p.DeliveryMode)
	}
	if p.Priority != 0 {
		b = append(b, p.Priority)
	}
	b = appendPresent(b, p.CorrelationId)
	b = appendPresent(b, p.ReplyTo)
	b = appendPresent(b, p.Expiration)
	b = appendPresent(b, p.MessageId)
	if !p.Timestamp.IsZero() {
		b = binary.BigEndian.AppendUint64(b, uint64(p.Timestamp.Unix()))
	}
	b = appendPresent(b, p.Type)
	b = appendPresent(b, p.UserId)
	return appendPresent(b, p.AppId)
}

// appendShort writes a text of at most 255 bytes, which the caller has checked.
func appendShort(b []byte, text string) []byte { return append(append(b, byte(len(text))), text...) }

func appendPresent(b []byte, text string) []byte {
	if text == "" {
		return b
	}
	return appendShort(b, text)
}

func appendLong(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}

// appendText writes a header whose value is a string.
func appendText(b []byte, name, value string) []byte {
	return appendLong(append(appendShort(b, name), 'S'), value)
}

var errFieldType = errors.New("AMQP has no such type")

// appendField writes a value of a table, with its type.
func appendField(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, 'V'), nil
	case bool:
		return append(b, 't', flag(v)), nil
	case byte:
		return append(b, 'B', v), nil
	case int8:
		return append(b, 'b', byte(v)), nil
	case int16:
		return binary.BigEndian.AppendUint16(append(b, 's'), uint16(v)), nil
	case uint16:
		return binary.BigEndian.AppendUint16(append(b, 'u'), v), nil
	case int:
		return binary.BigEndian.AppendUint32(append(b, 'I'), uint32(v)), nil
	case int32:
		return binary.BigEndian.AppendUint32(append(b, 'I'), uint32(v)), nil
	case uint32:
		return binary.BigEndian.AppendUint32(append(b, 'i'), v), nil
	case int64:
		return binary.BigEndian.AppendUint64(append(b, 'l'), uint64(v)), nil
	case float32:
		return binary.BigEndian.AppendUint32(append(b, 'f'), math.Float32bits(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'd'), math.Float64bits(v)), nil
	case amqp.Decimal:
		return binary.BigEndian.AppendUint32(append(b, 'D', v.Scale), uint32(v.Value)), nil
	case string:
		return appendLong(append(b, 'S'), v), nil
	case []byte:
		return append(binary.BigEndian.AppendUint32(append(b, 'x'), uint32(len(v))), v...), nil
	case time.Time:
		return binary.BigEndian.AppendUint64(append(b, 'T'), uint64(v.Unix())), nil
	case amqp.Table:
		b, at := append(b, 'F', 0, 0, 0, 0), len(b)+1
		for name, inner := range v {
			if len(name) > maxShortText {
				return nil, tooLong(fmt.Sprintf("the header name %.32q...", name), len(name))
			}
			var err error
			if b, err = appendField(appendShort(b, name), inner); err != nil {
				return nil, err
			}
		}
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
		return b, nil
	case []any:
		b, at := append(b, 'A', 0, 0, 0, 0), len(b)+1
		for _, inner := range v {
			var err error
			if b, err = appendField(b, inner); err != nil {
				return nil, err
			}
		}
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
		return b, nil
	default:
		return nil, fmt.Errorf("%w: %T", errFieldType, value)
	}
}
