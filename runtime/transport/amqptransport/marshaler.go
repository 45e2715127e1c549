package amqptransport

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/asyncpb/async/runtime/transport"
)

// Marshaler is the wire format. It implements the Marshaler of watermill-amqp, so that a plain watermill-amqp program
// can speak it too. The zero value is ready to use, from many goroutines at once.
//
// Metadata become string headers and the UUID becomes the header _watermill_message_uuid, as watermill-amqp does it.
// On top, native properties are set: message-id from the UUID, type from ce-type, content-type from
// ce-datacontenttype, timestamp from async-created-at (else the time of the call). The reply address
// ([transport.MetaReplyTo]) and the correlation id ([transport.MetaCorrelationID]) are native properties only.
type Marshaler struct{}

// Marshal makes the publishing of msg. It is always persistent, and never holds the traces of an earlier dead-letter
// hop. The error is [transport.ErrTooLarge] for a header name or a native property of more than 255 bytes, which AMQP
// cannot hold.
func (Marshaler) Marshal(msg *message.Message) (amqp.Publishing, error) {
	headers := make(amqp.Table, len(msg.Metadata)+1)
	for name, value := range msg.Metadata {
		if travels(name) {
			headers[name] = value
		}
	}
	headers[transport.MetaWatermillUUID] = msg.UUID
	p := nativeProperties(msg)
	p.Headers = headers
	return p, checkLimits(&p)
}

// nativeProperties is everything of a publishing but the headers.
func nativeProperties(msg *message.Message) amqp.Publishing {
	return amqp.Publishing{
		DeliveryMode:  amqp.Persistent,
		MessageId:     msg.UUID,
		Type:          msg.Metadata[transport.MetaType],
		ContentType:   msg.Metadata[transport.MetaContentType],
		CorrelationId: msg.Metadata[transport.MetaCorrelationID],
		ReplyTo:       msg.Metadata[transport.MetaReplyTo],
		Timestamp:     createdAt(msg),
		Body:          msg.Payload,
	}
}

// travels reports whether metadata of this name are headers.
func travels(name string) bool {
	return name != transport.MetaReplyTo && name != transport.MetaCorrelationID && !brokerHeader(name)
}

// Unmarshal makes the message of a delivery. Whatever the content, it succeeds: a header that is no string becomes
// its text, or JSON where it has an inner structure. The native properties fill the UUID and the metadata where their
// header is missing: message-id the UUID, type ce-type, content-type ce-datacontenttype; and, when the sender knew
// nothing of Watermill, message-id also ce-id, and timestamp ce-time. Headers of the broker's own (x-death,
// x-first-death-*, x-last-death-*, x-delivery-count) are left out.
//
// Its one error is for the empty delivery that amqp091-go gives out of a closed channel: that is no message at all.
func (Marshaler) Unmarshal(d amqp.Delivery) (*message.Message, error) {
	if d.Acknowledger == nil {
		return nil, errors.New("not a delivery: the channel was closed")
	}
	return unmarshal(&d), nil
}

func unmarshal(d *amqp.Delivery) *message.Message {
	u := unmarshaling{metadata: make(message.Metadata, len(d.Headers)+2)}
	for name, value := range d.Headers {
		if name == transport.MetaWatermillUUID || travels(name) {
			u.header(name, headerText(value))
		}
	}
	return u.finish(d)
}

// unmarshaling is a message of which some headers are known.
type unmarshaling struct {
	metadata  message.Metadata
	id        string
	watermill bool // the sender knows Watermill
}

func (u *unmarshaling) header(name, value string) {
	switch {
	case name == transport.MetaWatermillUUID:
		u.id, u.watermill = value, true
	case travels(name):
		u.metadata[name] = value
	}
}

func (u *unmarshaling) fill(name, value string) {
	if value == "" {
		return
	}
	if _, there := u.metadata[name]; !there {
		u.metadata[name] = value
	}
}

// finish adds what the native properties say.
func (u *unmarshaling) finish(d *amqp.Delivery) *message.Message {
	u.fill(transport.MetaType, d.Type)
	u.fill(transport.MetaContentType, d.ContentType)
	u.fill(transport.MetaReplyTo, d.ReplyTo)
	u.fill(transport.MetaCorrelationID, d.CorrelationId)
	if !u.watermill {
		u.fill(transport.MetaID, d.MessageId)
		if !d.Timestamp.IsZero() {
			u.fill(transport.MetaTime, d.Timestamp.UTC().Format(time.RFC3339))
		}
	}
	id := u.id
	if id == "" {
		id = d.MessageId
	}
	if id == "" {
		id = u.metadata[transport.MetaID]
	}
	msg := message.NewMessage(id, d.Body)
	msg.Metadata = u.metadata
	return msg
}

// brokerHeader reports whether RabbitMQ itself writes the header.
func brokerHeader(name string) bool {
	return strings.HasPrefix(name, "x-") && (name == "x-death" || name == "x-delivery-count" || name == "x-acquired-count" ||
		strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-"))
}

func createdAt(msg *message.Message) time.Time {
	if at := transport.ParseInstant(msg.Metadata[transport.MetaCreatedAt]); !at.IsZero() {
		return at
	}
	return time.Now()
}

// redeliveries is how often the broker handed the message out before, by the count that a quorum queue keeps or else by
// the flag.
func redeliveries(count any, d *amqp.Delivery) int {
	switch n := count.(type) {
	case int64:
		return int(n)
	case int32:
		return int(n)
	case int16:
		return int(n)
	}
	if d.Redelivered {
		return 1
	}
	return 0
}

// headerText is the text of a header of any of AMQP's types.
func headerText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case nil:
		return ""
	case []byte:
		return bytesText(v)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case amqp.Decimal:
		return decimalText(v)
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case amqp.Table, []any:
		text, err := json.Marshal(jsonValue(v))
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	default:
		return fmt.Sprint(v)
	}
}

// jsonValue turns what JSON cannot hold, or would hold in another form than headerText, into text.
func jsonValue(value any) any {
	switch v := value.(type) {
	case amqp.Table:
		object := make(map[string]any, len(v))
		for name, inner := range v {
			object[name] = jsonValue(inner)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i, inner := range v {
			list[i] = jsonValue(inner)
		}
		return list
	case float32:
		return jsonValue(float64(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return headerText(v)
		}
		return v
	case []byte, time.Time, amqp.Decimal:
		return headerText(v)
	default:
		return v
	}
}

func bytesText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func decimalText(d amqp.Decimal) string {
	digits, sign := strconv.FormatInt(int64(d.Value), 10), ""
	if digits[0] == '-' {
		digits, sign = digits[1:], "-"
	}
	scale := int(d.Scale)
	if scale == 0 {
		return sign + digits
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
