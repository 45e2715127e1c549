package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/asyncpb/async/internal/contract"
	"github.com/asyncpb/async/runtime/transport"
)

// maxBytes is the largest payload that is decoded, decompressed: what is larger nobody reads, and its JSON takes many times as much memory.
const maxBytes = 64 << 20

// Redacted stands in place of what the contract calls sensitive.
const Redacted = "[redacted]"

// ErrUndescribed means that there is no descriptor for the type of a message.
var ErrUndescribed = errors.New("no descriptor")

// Decode returns the payload of a message as compact JSON. Unless reveal, sensitive texts become [Redacted], and other
// sensitive fields are left out. Without a descriptor a payload that is JSON already is returned as it is, and any
// other is [ErrUndescribed]. More than 64 MiB, decompressed, are [transport.ErrTooLarge].
func (s *Schema) Decode(msg *message.Message, reveal bool) (json.RawMessage, error) {
	payload, err := transport.Decompress(msg.Metadata[transport.MetaEncoding], msg.Payload, maxBytes)
	if err != nil {
		return nil, err
	}
	isJSON := msg.Metadata[transport.MetaContentType] == "application/json"
	name := msg.Metadata[transport.MetaType]
	md := s.find(name)
	if md == nil {
		if isJSON && json.Valid(payload) {
			return compact(payload)
		}
		return nil, fmt.Errorf("%w for the type %q", ErrUndescribed, name)
	}
	decoded := dynamicpb.NewMessage(md)
	if isJSON {
		err = protojson.UnmarshalOptions{DiscardUnknown: true, AllowPartial: true, Resolver: s.types}.Unmarshal(payload, decoded)
	} else {
		err = proto.UnmarshalOptions{AllowPartial: true, Resolver: s.types}.Unmarshal(payload, decoded)
	}
	if err != nil {
		return nil, fmt.Errorf("this is no %s", md.FullName())
	}
	if !reveal {
		redact(decoded)
	}
	text, err := protojson.MarshalOptions{AllowPartial: true, Resolver: s.types}.Marshal(decoded)
	if err != nil {
		return nil, fmt.Errorf("%s has no JSON form: %w", md.FullName(), err)
	}
	return compact(text)
}

// compact also takes away the spaces that protojson puts in at random.
func compact(text []byte) (json.RawMessage, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func redact(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case contract.Sensitive(fd) && fd.Kind() == protoreflect.StringKind && fd.Cardinality() != protoreflect.Repeated:
			m.Set(fd, protoreflect.ValueOfString(Redacted))
		case contract.Sensitive(fd):
			m.Clear(fd)
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				redact(v.Message())
				return true
			})
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				redact(v.List().Get(i).Message())
			}
		case fd.Message() != nil && !fd.IsMap():
			redact(v.Message())
		}
		return true
	})
}

// Sensitive returns the names of the metadata that repeat sensitive fields of a message: its headers and its key.
func (s *Schema) Sensitive(messageType string) map[string]bool {
	names := make(map[string]bool)
	for _, spec := range s.Specs() {
		if spec.Descriptor.Input() != s.find(messageType) {
			continue
		}
		for _, h := range spec.Headers {
			if contract.Sensitive(h.Field) {
				names[h.Name] = true
			}
		}
		if spec.Key != nil && contract.Sensitive(spec.Key) {
			names[transport.MetaKey], names[transport.MetaSubject] = true, true
		}
	}
	return names
}
