package async

import (
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/asyncpb/async/runtime/transport"
)

// envelopeSize is how many entries envelope writes. They fit in the smallest kind of map.
const envelopeSize = 8

// envelope is the metadata that every message of this runtime begins with: CloudEvents 1.0 and our times. It has room for more
// entries.
func (rt *Runtime) envelope(r *route, id, messageType string, now time.Time, more int) message.Metadata {
	md := make(message.Metadata, envelopeSize+more)
	text, at := stamps(now)
	md[transport.MetaID] = id
	md[transport.MetaSource] = rt.source(r.spec)
	md[transport.MetaType] = messageType
	md[transport.MetaSpecVersion] = "1.0"
	md[transport.MetaTime] = text
	md[transport.MetaContentType] = r.settings.codec.ContentType()
	md[transport.MetaCreatedAt] = at
	md[transport.MetaSentAt] = at
	return md
}

// stamps writes now in both forms that metadata has: RFC 3339, and [transport.FormatInstant].
func stamps(now time.Time) (text, instant string) {
	var room [64]byte
	both := now.UTC().AppendFormat(room[:0], time.RFC3339Nano)
	n := len(both)
	both = strconv.AppendInt(both, now.UnixNano(), 10)
	text = string(both)
	return text[:n], text[n:]
}

// source is the CloudEvents source: the application, or the service where there is no name.
func (rt *Runtime) source(spec *Spec) string {
	if rt.app != "" {
		return rt.app
	}
	return spec.Service
}
