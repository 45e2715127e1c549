package contract

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	asyncv1 "github.com/asyncpb/async/gen/async/v1"
)

// fields reads the annotations of the fields of the input. Texts name the message and not the rpc, so that what is wrong
// with a message is reported once, however many rpcs take it.
func (s *Spec) fields(found *Findings) {
	input := s.Descriptor.Input()
	headers := map[string]protoreflect.FieldDescriptor{}
	for i := range input.Fields().Len() {
		field := input.Fields().Get(i)
		options := fieldOptions(field, found)
		if options == nil {
			continue
		}
		if options.GetKey() {
			if s.Key != nil {
				found.refuse(fieldAt(field, 1), "%s has two keys, %s and %s; keep one", input.FullName(), s.Key.Name(), field.Name())
			}
			s.Key = field
			checkKey(field, found)
		}
		if options.GetMessageId() {
			if s.MessageID != nil {
				found.refuse(fieldAt(field, 2), "%s has two message ids, %s and %s; keep one", input.FullName(), s.MessageID.Name(), field.Name())
			}
			s.MessageID = field
			if field.Kind() != protoreflect.StringKind || field.Cardinality() == protoreflect.Repeated {
				found.refuse(fieldAt(field, 2), "message id %s has type %s; annotate a string field that is not repeated", field.FullName(), describe(field))
			}
		}
		if options.Header != nil {
			s.header(field, options, headers, found)
		}
	}
}

func (s *Spec) header(field protoreflect.FieldDescriptor, options *asyncv1.FieldOptions, taken map[string]protoreflect.FieldDescriptor, found *Findings) {
	name, at := options.GetHeader(), fieldAt(field, 3)
	if name == "" || len(name) > maxHeaderBytes || !only(name, lower+digits+"._-") {
		found.refuse(at, `header %q of %s is no header name; write 1 to %d lower-case letters, digits, ".", "_" and "-"`, name, field.FullName(), maxHeaderBytes)
	} else if reserved := reservedHeader(name); reserved != "" {
		found.refuse(at, "header %q of %s is reserved by %q; write another name", name, field.FullName(), reserved)
	}
	if field.Cardinality() == protoreflect.Repeated || field.Message() != nil {
		found.refuse(at, "header %s has type %s; annotate a scalar or enum field that is not repeated", field.FullName(), describe(field))
	}
	if other, ok := taken[name]; ok {
		found.refuse(at, "header %q is written by %s and by %s; give one of them another name", name, other.FullName(), field.Name())
	}
	taken[name] = field
	s.Headers = append(s.Headers, Header{Name: name, Field: field})
}

func checkKey(field protoreflect.FieldDescriptor, found *Findings) {
	bad := []protoreflect.Kind{protoreflect.BoolKind, protoreflect.FloatKind, protoreflect.DoubleKind, protoreflect.MessageKind, protoreflect.GroupKind}
	if field.Cardinality() == protoreflect.Repeated || slices.Contains(bad, field.Kind()) {
		found.refuse(fieldAt(field, 1), "key %s has type %s; annotate a string, bytes, integer or enum field that is not repeated", field.FullName(), describe(field))
	}
}

// describe returns the type of a field in the words of a .proto file.
func describe(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return "map"
	case field.IsList():
		return "repeated " + field.Kind().String()
	default:
		return field.Kind().String()
	}
}

func fieldAt(field protoreflect.FieldDescriptor, path ...int32) Position {
	return Locate(field, append([]int32{fieldOptionsPath, extensionNumber}, path...)...)
}
