package async

import (
	"fmt"
	"mime"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/runtime/transport"
)

// Codec turns messages into payloads.
type Codec uint8

// The codecs. Whatever a sender chose, every receiver reads both: the content type travels with the message.
const (
	// Protobuf is the binary format, application/protobuf. It is the default.
	Protobuf Codec = iota
	// ProtoJSON is the canonical JSON of protobuf, application/json.
	ProtoJSON
)

const (
	contentProtobuf = "application/protobuf"
	contentJSON     = "application/json"
)

// ContentType returns application/protobuf or application/json.
func (c Codec) ContentType() string {
	if c == ProtoJSON {
		return contentJSON
	}
	return contentProtobuf
}

func (c Codec) marshal(m proto.Message) ([]byte, error) {
	if c == ProtoJSON {
		return protojson.Marshal(m)
	}
	return proto.Marshal(m)
}

// compress makes large payloads smaller, if the settings ask for it, and says so in the metadata.
func (s *settings) compress(payload []byte, md message.Metadata) []byte {
	if s.compressAbove <= 0 || int64(len(payload)) <= s.compressAbove {
		return payload
	}
	small, ok := transport.Compress(payload)
	if !ok {
		return payload
	}
	md[transport.MetaEncoding] = transport.EncodingGzip
	return small
}

// unmarshal decodes by content type. Unknown fields are kept (protobuf) or ignored (JSON), so that an old consumer reads
// a newer producer.
func unmarshal(contentType string, payload []byte, m proto.Message) error {
	switch contentType {
	case contentProtobuf, "":
		return proto.Unmarshal(payload, m)
	case contentJSON:
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(payload, m)
	}
	base, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && (base == contentProtobuf || base == "application/x-protobuf"):
		return proto.Unmarshal(payload, m)
	case err == nil && base == contentJSON:
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(payload, m)
	default:
		return fmt.Errorf("unknown content type %q; known: %s, %s", sanitize(contentType), contentProtobuf, contentJSON)
	}
}
