package asyncotel

import (
	"encoding/json"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"

	"github.com/asyncpb/async/runtime/transport"
)

// tellsContent reports whether anything that is in a message was asked for.
func (d *detail) tellsContent() bool { return d.sizes || len(d.headers) > 0 }

// content is what was asked for of what is in a message: its size, and headers.
func (d *detail) content(msg *message.Message) []attribute.KeyValue {
	if !d.tellsContent() {
		return nil
	}
	a := make([]attribute.KeyValue, 0, 2+len(d.headers))
	if d.sizes {
		envelope := len(msg.Payload)
		for name, value := range msg.Metadata {
			envelope += len(name) + len(value)
		}
		a = append(a, keyBodySize.Int(len(msg.Payload)), keyEnvelopeSize.Int(envelope))
	}
	for _, name := range d.headers {
		if values := valuesOf(msg.Metadata, name); len(values) > 0 {
			a = append(a, attribute.StringSlice(headerPrefix+name, values))
		}
	}
	return a
}

// valuesOf are the values of a header, which travel as a JSON array if they are several. What is not readable is not there.
func valuesOf(md message.Metadata, name string) (values []string) {
	if value, there := md[name]; there {
		return []string{value}
	}
	several := md[transport.PrefixMultiValue+name]
	if several == "" || json.Unmarshal([]byte(several), &values) != nil {
		return nil
	}
	return values
}
