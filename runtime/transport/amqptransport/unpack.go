package amqptransport

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// deepest is how far tables and lists inside headers may be nested; what is deeper is not read.
const deepest = 32

// message makes the message of d, and says how often it was handed out before.
func (t *Transport) message(d *amqp.Delivery) (msg *message.Message, before int) {
	if t.settings.native() {
		if raw, packed := d.Headers[packedName].([]byte); packed && len(d.Headers) == 1 {
			return unpack(d, string(raw))
		}
		return unmarshal(d), redeliveries(d.Headers["x-delivery-count"], d)
	}
	msg, err := t.settings.config.Marshaler.Unmarshal(*d)
	if err != nil {
		// A foreign marshaler may refuse content. Nobody could ever take such a message from the queue.
		msg = unmarshal(d)
	}
	return msg, redeliveries(d.Headers["x-delivery-count"], d)
}

// unpack makes the message of a delivery whose headers came packed ([intake]). All texts share the memory of the table.
func unpack(d *amqp.Delivery, table string) (msg *message.Message, before int) {
	entries := 0
	for _, rest, ok := split(table, true); ok; _, rest, ok = split(rest, true) {
		entries++
	}
	u := unmarshaling{metadata: make(message.Metadata, entries+2)}
	var count any
	for e, rest, ok := split(table, true); ok; e, rest, ok = split(rest, true) {
		switch {
		case e.kind == 'S':
			u.header(e.name, e.value)
		case e.name == "x-delivery-count":
			count = e.decode(0)
		case !brokerHeader(e.name):
			u.header(e.name, headerText(e.decode(0)))
		}
	}
	return u.finish(d), redeliveries(count, d)
}

// entry is one value of a table or a list, as its bytes.
type entry struct {
	name  string // empty in a list
	kind  byte
	value string
}

// split takes the first entry away. ok is false at the end, and where the bytes make no sense.
func split(b string, named bool) (e entry, rest string, ok bool) {
	if named {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return entry{}, "", false
		}
		e.name, b = b[1:1+int(b[0])], b[1+int(b[0]):]
	}
	if b == "" {
		return entry{}, "", false
	}
	e.kind, b = b[0], b[1:]
	size := 0
	switch e.kind {
	case 'S', 'x', 'A', 'F':
		if len(b) < 4 {
			return entry{}, "", false
		}
		size, b = int(number(b[:4])), b[4:]
	case 'V':
	case 't', 'b', 'B':
		size = 1
	case 's', 'u':
		size = 2
	case 'I', 'i', 'f':
		size = 4
	case 'D':
		size = 5
	case 'l', 'd', 'T':
		size = 8
	default:
		return entry{}, "", false
	}
	if len(b) < size {
		return entry{}, "", false
	}
	e.value = b[:size]
	return e, b[size:], true
}

// number reads an unsigned number of up to 8 bytes.
func number(b string) (n uint64) {
	for i := range len(b) {
		n = n<<8 | uint64(b[i])
	}
	return n
}

// decode gives the value the type that the client library gives it.
func (e entry) decode(depth int) any {
	n := number(e.value[:min(len(e.value), 8)])
	switch e.kind {
	case 'S':
		return e.value
	case 'x':
		return []byte(e.value)
	case 't':
		return n != 0
	case 'b':
		return int8(n)
	case 'B':
		return byte(n)
	case 's':
		return int16(n)
	case 'u':
		return uint16(n)
	case 'I':
		return int32(n)
	case 'i':
		return uint32(n)
	case 'l':
		return int64(n)
	case 'f':
		return math.Float32frombits(uint32(n))
	case 'd':
		return math.Float64frombits(n)
	case 'T':
		return time.Unix(int64(n), 0)
	case 'D':
		return amqp.Decimal{Scale: e.value[0], Value: int32(binary.BigEndian.Uint32([]byte(e.value[1:])))}
	case 'F':
		return decodeTable(e.value, depth+1)
	case 'A':
		return decodeList(e.value, depth+1)
	default:
		return nil
	}
}

func decodeTable(b string, depth int) amqp.Table {
	table := amqp.Table{}
	if depth > deepest {
		return table
	}
	for e, rest, ok := split(b, true); ok; e, rest, ok = split(rest, true) {
		table[e.name] = e.decode(depth)
	}
	return table
}

func decodeList(b string, depth int) []any {
	list := []any{}
	if depth > deepest {
		return list
	}
	for e, rest, ok := split(b, false); ok; e, rest, ok = split(rest, false) {
		list = append(list, e.decode(depth))
	}
	return list
}
