package contract

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	asyncv1 "github.com/asyncpb/async/gen/async/v1"
)

// Where the options of a descriptor stand in its own message, as source paths count, and the number of our extension.
const (
	methodOptionsPath  = 4
	serviceOptionsPath = 3
	fieldOptionsPath   = 8
	extensionNumber    = 71071
)

// annotations resolves our extensions and no others, whatever is linked into the program.
var annotations = func() *protoregistry.Types {
	types := new(protoregistry.Types)
	for _, xt := range []protoreflect.ExtensionType{asyncv1.E_Service, asyncv1.E_Method, asyncv1.E_Field} {
		if err := types.RegisterExtension(xt); err != nil {
			panic(err) // unreachable: three different extensions in a new registry
		}
	}
	return types
}()

func methodOptions(md protoreflect.MethodDescriptor, found *Findings) *asyncv1.MethodOptions {
	at := Locate(md, methodOptionsPath, extensionNumber)
	m, _ := annotation(md, new(descriptorpb.MethodOptions), asyncv1.E_Method, at, found).(*asyncv1.MethodOptions)
	return m
}

func serviceOptions(sd protoreflect.Descriptor, found *Findings) *asyncv1.ServiceOptions {
	at := Locate(sd, serviceOptionsPath, extensionNumber)
	m, _ := annotation(sd, new(descriptorpb.ServiceOptions), asyncv1.E_Service, at, found).(*asyncv1.ServiceOptions)
	return m
}

func fieldOptions(fd protoreflect.FieldDescriptor, found *Findings) *asyncv1.FieldOptions {
	at := Locate(fd, fieldOptionsPath, extensionNumber)
	m, _ := annotation(fd, new(descriptorpb.FieldOptions), asyncv1.E_Field, at, found).(*asyncv1.FieldOptions)
	return m
}

// annotation decodes the options of a descriptor anew into options and returns the value of our extension in them, or
// nil if there is none.
func annotation(d protoreflect.Descriptor, options proto.Message, xt protoreflect.ExtensionType, at Position, found *Findings) any {
	raw, err := proto.MarshalOptions{AllowPartial: true}.Marshal(d.Options())
	if err == nil {
		err = proto.UnmarshalOptions{AllowPartial: true, Resolver: annotations}.Unmarshal(raw, options)
	}
	name := xt.TypeDescriptor().FullName()
	if err != nil {
		found.refuse(at, "option (%s) of %s cannot be read; write it as async/v1/annotations.proto declares it", name, d.FullName())
		return nil
	}
	if !proto.HasExtension(options, xt) {
		if holds(options.ProtoReflect().GetUnknown(), extensionNumber) {
			found.refuse(at, "option %d of %s is not (%s); give your own option another number", extensionNumber, d.FullName(), name)
		}
		return nil
	}
	value := proto.GetExtension(options, xt)
	message, ok := value.(proto.Message)
	if !ok {
		return nil
	}
	if where := unknown(message.ProtoReflect(), string(name)); where != "" {
		found.refuse(at, "%s, which this version does not know; remove it, or use a newer version of protoc-gen-async", where)
	}
	return value
}

// unknown describes the first field of a message, or of a message in it, that is not declared; it returns "" if all
// are.
func unknown(m protoreflect.Message, name string) string {
	if number, _, n := protowire.ConsumeTag(m.GetUnknown()); n > 0 {
		return fmt.Sprintf("option (%s) sets field %d of %s", name, number, m.Descriptor().FullName())
	}
	where := ""
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() != nil && !fd.IsList() && !fd.IsMap() {
			where = unknown(v.Message(), name)
		}
		return where == ""
	})
	return where
}

func holds(raw protoreflect.RawFields, number protowire.Number) bool {
	for len(raw) > 0 {
		got, _, n := protowire.ConsumeField(raw)
		if n < 0 {
			return false
		}
		if got == number {
			return true
		}
		raw = raw[n:]
	}
	return false
}
