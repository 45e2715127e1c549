package async

import (
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
	at := transport.FormatInstant(now)
	md[transport.MetaID] = id
	md[transport.MetaSource] = rt.source(r.spec)
	md[transport.MetaType] = messageType
	md[transport.MetaSpecVersion] = "1.0"
	md[transport.MetaTime] = now.UTC().Format(time.RFC3339Nano)
	md[transport.MetaContentType] = r.settings.codec.ContentType()
	md[transport.MetaCreatedAt] = at
	md[transport.MetaSentAt] = at
	return md
}

// source is the CloudEvents source: the application, or the service where there is no name.
func (rt *Runtime) source(spec *Spec) string {
	if rt.app != "" {
		return rt.app
	}
	return spec.Service
}
