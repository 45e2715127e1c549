package asyncconnect

import (
	"errors"
	"fmt"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/asyncpb/async/internal/contract"
	async "github.com/asyncpb/async/runtime"
)

// errUnannotated is the cause where an rpc has no place on the broker.
var errUnannotated = errors.New("the rpc has no annotation")

// unannotated reports whether the contract leaves the rpc alone.
func unannotated(spec connect.Spec) bool {
	md, ok := spec.Schema.(protoreflect.MethodDescriptor)
	if !ok {
		return false
	}
	described, found := contract.Method(md)
	return described == nil && found.Err() == nil
}

// describe reads the contract of an rpc from its method descriptor.
func describe(spec connect.Spec, implicit bool) (*contract.Spec, error) {
	md, ok := spec.Schema.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, connect.Errorf(connect.CodeInternal, "the Schema of %s is a %T and no method descriptor; use code of protoc-gen-connect-go, or set it",
			spec.Procedure, spec.Schema)
	}
	if spec.StreamType != connect.StreamTypeUnary {
		return nil, connect.Errorf(connect.CodeUnimplemented,
			"%s is a stream, and a message on a broker is one message; send each item as an event and subscribe to it, or leave the rpc on HTTP (asyncconnect.Route does)",
			spec.Procedure)
	}
	read := contract.Method
	if implicit {
		read = contract.Implicit
	}
	described, found := read(md)
	if err := found.Err(); err != nil {
		return nil, connect.NewError(connect.CodeInternal, "the annotations of "+spec.Procedure+" contradict each other").WithCause(err)
	}
	if described == nil {
		return nil, connect.Errorf(connect.CodeUnimplemented,
			"%s has no annotation and so no place on the broker; give it the option (async.v1.method), or asyncconnect.WithImplicit to both ends", spec.Procedure).
			WithCause(errUnannotated)
	}
	return described, nil
}

// specOf returns what generated code would hold for the rpc.
func specOf(c *contract.Spec) *async.Spec {
	spec := &async.Spec{
		Service: c.Service, Method: c.Method, Kind: kinds[c.Kind],
		Topic: c.Topic, Aliases: c.Aliases, Group: c.Group, GroupAliases: c.GroupAliases,
		Type: c.Type, TypeAliases: c.TypeAliases, Timeout: c.Timeout,
		Policy: async.Policy{
			Retry:      async.Retry(c.Policy.Retry),
			DeadLetter: async.DeadLetter(c.Policy.DeadLetter),
			TTL:        c.Policy.TTL,
			Ordering:   orderings[c.Policy.Ordering],
			Trace:      traces[c.Policy.Trace],
		},
		Input: maker(c.Descriptor.Input()),
	}
	if c.Kind == contract.Request {
		spec.Output = maker(c.Descriptor.Output())
	}
	if fd := c.Key; fd != nil {
		spec.Key = func(m proto.Message) string { return text(m, fd) }
	}
	if fd := c.MessageID; fd != nil {
		spec.MessageID = func(m proto.Message) string { return text(m, fd) }
	}
	if len(c.Headers) > 0 {
		spec.Headers = func(m proto.Message) []async.Header {
			headers := make([]async.Header, len(c.Headers))
			for i, h := range c.Headers {
				headers[i] = async.Header{Name: h.Name, Value: text(m, h.Field)}
			}
			return headers
		}
	}
	return spec
}

var kinds = map[contract.Kind]async.Kind{
	contract.Event:   async.KindEvent,
	contract.Command: async.KindCommand,
	contract.Request: async.KindRequest,
}

var orderings = map[contract.Ordering]async.Ordering{
	contract.OrderingUnordered: async.OrderingUnordered,
	contract.OrderingByKey:     async.OrderingByKey,
}

var traces = map[contract.TraceMode]async.TraceMode{
	contract.TraceContinue:  async.TraceContinue,
	contract.TraceLink:      async.TraceLink,
	contract.TraceUntrusted: async.TraceUntrusted,
}

// maker returns what makes messages of a type: of the generated one if it is linked in, else of a dynamic one.
func maker(md protoreflect.MessageDescriptor) func() proto.Message {
	mt, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
	if err != nil {
		mt = dynamicpb.NewMessageType(md)
	}
	return func() proto.Message { return mt.New().Interface() }
}

// text returns a scalar or enum field as generated code does.
func text(m proto.Message, fd protoreflect.FieldDescriptor) string {
	r := m.ProtoReflect()
	// The descriptor of the message may be another one than that of the contract, as with dynamic messages.
	if fd = r.Descriptor().Fields().ByNumber(fd.Number()); fd == nil {
		return ""
	}
	v := r.Get(fd)
	switch fd.Kind() {
	case protoreflect.StringKind:
		return async.FormatString(v.String())
	case protoreflect.BytesKind:
		return async.FormatBytes(v.Bytes())
	case protoreflect.BoolKind:
		return async.FormatBool(v.Bool())
	case protoreflect.FloatKind:
		return async.FormatFloat(float32(v.Float()))
	case protoreflect.DoubleKind:
		return async.FormatFloat(v.Float())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return async.FormatUint(v.Uint())
	case protoreflect.EnumKind:
		return async.FormatInt(v.Enum())
	default:
		return async.FormatInt(v.Int())
	}
}

// move makes dst what src is. src must not be used afterwards: dst may share its parts.
func move(dst any, src proto.Message) error {
	to, ok := dst.(proto.Message)
	if !ok {
		return fmt.Errorf("asyncconnect: receive into a %T, which is no proto.Message", dst)
	}
	d, s := to.ProtoReflect(), src.ProtoReflect()
	if have, want := d.Descriptor().FullName(), s.Descriptor().FullName(); have != want {
		return fmt.Errorf("asyncconnect: receive a %s into a %s", want, have)
	}
	proto.Reset(to)
	if d.Type() == s.Type() {
		s.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			d.Set(fd, v)
			return true
		})
		d.SetUnknown(s.GetUnknown())
		return nil
	}
	raw, err := proto.MarshalOptions{AllowPartial: true}.Marshal(src)
	if err == nil {
		err = proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(raw, to)
	}
	if err != nil {
		return fmt.Errorf("asyncconnect: receive a %s: %w", d.Descriptor().FullName(), err)
	}
	return nil
}

// messageOf returns what was given to Send as a message; a nil pointer is an empty one, as over HTTP.
func messageOf(msg any) (proto.Message, error) {
	m, ok := msg.(proto.Message)
	if !ok {
		return nil, connect.Errorf(connect.CodeInternal, "a %T is no proto.Message", msg)
	}
	if r := m.ProtoReflect(); !r.IsValid() {
		return r.Type().New().Interface(), nil
	}
	return m, nil
}
