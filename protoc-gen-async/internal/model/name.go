package model

import (
	"go/token"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"

	"github.com/asyncpb/async/internal/contract"
)

// scope is a Go package or a Go type: names that are taken, each with what took it.
type scope map[string]string

// take declares a name for owner; it refuses it and returns false if something else has it.
func (s scope) take(name, owner string, at contract.Position, found *contract.Findings) bool {
	if other, ok := s[name]; ok {
		*found = append(*found, contract.Finding{
			Position: at,
			Text:     "generated name " + name + " of " + owner + " is that of " + other + " as well; rename one of the two",
		})
		return false
	}
	s[name] = owner
	return true
}

// free declares a name that users do not see, with underscores behind it if it is taken.
func (s scope) free(name, owner string) string {
	for s[name] != "" {
		name += "_"
	}
	s[name] = owner
	return name
}

// takeMessages declares what protoc-gen-go generates for the messages and enums of a file, for code that stands beside it.
func (s scope) takeMessages(file *protogen.File) {
	for _, e := range file.Enums {
		s.takeEnum(e)
	}
	for _, m := range file.Messages {
		s.takeMessage(m)
	}
	for _, x := range file.Extensions {
		s["E_"+x.GoIdent.GoName] = "extension " + string(x.Desc.FullName())
	}
	s[file.GoDescriptorIdent.GoName] = "file " + file.Desc.Path()
}

func (s scope) takeMessage(m *protogen.Message) {
	owner := "message " + string(m.Desc.FullName())
	s[m.GoIdent.GoName] = owner
	s[m.GoIdent.GoName+"_builder"] = owner
	for _, f := range m.Fields {
		if f.Oneof != nil {
			s[f.GoIdent.GoName] = "field " + string(f.Desc.FullName())
		}
	}
	for _, e := range m.Enums {
		s.takeEnum(e)
	}
	for _, inner := range m.Messages {
		s.takeMessage(inner)
	}
	for _, x := range m.Extensions {
		s["E_"+x.GoIdent.GoName] = "extension " + string(x.Desc.FullName())
	}
}

func (s scope) takeEnum(e *protogen.Enum) {
	owner := "enum " + string(e.Desc.FullName())
	for _, name := range []string{"", "_name", "_value"} {
		s[e.GoIdent.GoName+name] = owner
	}
	for _, v := range e.Values {
		s[v.GoIdent.GoName] = "enum value " + string(v.Desc.FullName())
	}
}

// declare takes the package-level names of a service and its rpcs, and checks the methods of the generated types.
func (b *builder) declare(made *Service, service *protogen.Service, methods []*protogen.Method) {
	file := service.Desc.ParentFile()
	names := b.scope(b.importPath(b.gen.FilesByPath[file.Path()]))
	owner, at := "service "+made.FullName, contract.Locate(service.Desc)
	own := []string{made.Name, made.Handler, made.Unimplemented, made.Register, made.Subscriber, made.NewSubscriber}
	if len(made.Sends) > 0 {
		own = append(own, made.Publisher, made.NewPublisher)
	}
	if len(made.Calls) > 0 {
		own = append(own, made.Client, made.NewClient)
	}
	for _, name := range own {
		if !names.take(name, owner, at, &b.found) && strings.HasPrefix(names[made.Name], "service ") && names[made.Name] != owner {
			return // a service of the same Go name: everything else clashes as well
		}
	}
	made.PublisherType = names.free(made.PublisherType, owner)
	made.ClientType = names.free(made.ClientType, owner)
	handler, publisher, client, subscriber := scope{}, scope{}, scope{}, scope{}
	for i, m := range made.Methods {
		rpc, at := "rpc "+m.FullName, contract.Locate(methods[i].Desc)
		if !handler.take(m.Name, rpc, at, &b.found) {
			continue // every other name of the rpc clashes as well
		}
		names.take(m.Topic, rpc, at, &b.found)
		m.Spec = names.free(m.Spec, rpc)
		side, sent, received := publisher, []string{m.Name, m.Async, m.Batch}, []string{m.On, m.OnBatch, m.Receive, m.All}
		if m.IsRequest {
			side, sent, received = client, []string{m.Name, m.Async}, []string{m.On}
		}
		for _, name := range sent {
			side.take(name, rpc, at, &b.found)
		}
		for _, name := range received {
			subscriber.take(name, rpc, at, &b.found)
		}
	}
	nameFields(made.Methods)
}

// nameFields gives each rpc a field name of its own: the Go name with a small first letter, and underscores behind it
// where that is a keyword.
func nameFields(methods []*Method) {
	taken := map[string]bool{}
	for _, m := range methods {
		m.Field = small(m.Name)
		taken[m.Field] = true
	}
	for _, m := range methods {
		for token.IsKeyword(m.Field) || m.Field != small(m.Name) && taken[m.Field] {
			m.Field += "_"
		}
		taken[m.Field] = true
	}
}

func small(name string) string { return strings.ToLower(name[:1]) + name[1:] }
