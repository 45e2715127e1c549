package model

import (
	"cmp"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/asyncpb/async/internal/contract"
)

// Build returns the files to generate, in order of their sources, and what is wrong with their annotations. A file
// without annotated rpcs is left out. Generated code goes into the sub-package <package><suffix> or, with an empty
// suffix, into the package of the messages. After a refusal the files must not be rendered.
func Build(gen *protogen.Plugin, suffix string) ([]*File, contract.Findings) {
	b := builder{gen: gen, suffix: suffix, scopes: map[string]scope{}, outputs: map[string]string{}}
	if suffix == "" {
		for _, file := range gen.Files {
			b.scope(string(file.GoImportPath)).takeMessages(file)
		}
	}
	var (
		files []*File
		all   []*contract.Spec
	)
	for _, file := range importedFirst(gen.Files) {
		specs, found := contract.Methods(file.Desc)
		all = append(all, specs...)
		if !file.Generate || len(specs) == 0 {
			continue
		}
		b.found = append(b.found, found...)
		files = append(files, b.file(file, specs))
	}
	for _, f := range contract.Check(all) {
		if file := gen.FilesByPath[f.Position.File]; file != nil && file.Generate {
			b.found = append(b.found, f)
		}
	}
	return files, b.found.Sorted()
}

// importedFirst sorts files by path, so that the order of the request does not matter, and puts those that are not
// generated in front, so that what two files clash about is reported where code is generated.
func importedFirst(files []*protogen.File) []*protogen.File {
	rank := map[bool]int{false: 0, true: 1}
	return slices.SortedFunc(slices.Values(files), func(a, b *protogen.File) int {
		return cmp.Or(cmp.Compare(rank[a.Generate], rank[b.Generate]), strings.Compare(a.Desc.Path(), b.Desc.Path()))
	})
}

type builder struct {
	gen     *protogen.Plugin
	suffix  string
	found   contract.Findings
	scopes  map[string]scope  // names that are taken, by import path
	outputs map[string]string // sources, by name of the generated file
}

func (b *builder) scope(importPath string) scope {
	if b.scopes[importPath] == nil {
		b.scopes[importPath] = scope{}
	}
	return b.scopes[importPath]
}

func (b *builder) file(file *protogen.File, specs []*contract.Spec) *File {
	source := file.Desc.Path()
	made := &File{
		Source:     source,
		Header:     header(file.Desc),
		Package:    string(file.GoPackageName),
		ImportPath: string(file.GoImportPath),
		Name:       file.GeneratedFilenamePrefix + ".async.go",
	}
	b.checkPackage(file)
	if b.suffix != "" {
		made.Package += b.suffix
		made.ImportPath = b.importPath(file)
		made.Name = path.Join(path.Dir(file.GeneratedFilenamePrefix), made.Package, path.Base(made.Name))
	}
	if other, taken := b.outputs[made.Name]; taken {
		b.refuse(packagePosition(file.Desc), "generated file "+made.Name+" is that of "+other+" as well; rename one of the two .proto files")
	}
	b.outputs[made.Name] = source
	made.Declared = b.scope(made.ImportPath)

	byMethod := map[protoreflect.FullName]*contract.Spec{}
	for _, s := range specs {
		byMethod[s.Descriptor.FullName()] = s
	}
	for _, service := range file.Services {
		if s := b.service(file, service, byMethod); len(s.Methods) > 0 {
			made.Services = append(made.Services, s)
		}
	}
	return made
}

// importPath returns the import path of the generated package.
func (b *builder) importPath(file *protogen.File) string {
	if b.suffix == "" {
		return string(file.GoImportPath)
	}
	return string(file.GoImportPath) + "/" + string(file.GoPackageName) + b.suffix
}

func (b *builder) refuse(at contract.Position, text string) {
	b.found = append(b.found, contract.Finding{Position: at, Text: text})
}

// checkPackage refuses a Go package that generated code can neither be in nor import.
func (b *builder) checkPackage(file *protogen.File) {
	name := string(file.GoPackageName)
	switch {
	case !token.IsIdentifier(name), name == "_":
		b.refuse(packagePosition(file.Desc), "Go package name "+strconv.Quote(name)+" is none; write option go_package = \"<import path>;<name>\"")
	case name == "main" && b.suffix != "":
		b.refuse(packagePosition(file.Desc), "Go package main cannot be imported by the sub-package that is generated; write another name in go_package, or the parameter package_suffix=")
	}
}

func packagePosition(file protoreflect.FileDescriptor) contract.Position {
	location := file.SourceLocations().ByPath(protoreflect.SourcePath{8, 11})
	if location.Path == nil {
		return contract.Position{File: file.Path()}
	}
	return contract.Position{File: file.Path(), Line: location.StartLine + 1, Column: location.StartColumn + 1}
}

// header returns what a file says above its syntax or edition, often a licence.
func header(file protoreflect.FileDescriptor) []string {
	var lines []string
	for _, field := range []int32{12, 14} {
		location := file.SourceLocations().ByPath(protoreflect.SourcePath{field})
		for _, text := range append(slices.Clone(location.LeadingDetachedComments), location.LeadingComments) {
			if more := commentLines(protogen.Comments(text)); len(more) > 0 {
				lines = append(append(lines, more...), "")
			}
		}
	}
	return lines
}

func (b *builder) service(file *protogen.File, service *protogen.Service, specs map[protoreflect.FullName]*contract.Spec) *Service {
	name := service.GoName
	options, _ := service.Desc.Options().(*descriptorpb.ServiceOptions)
	comment, deprecation := documented(service.Comments.Leading, options.GetDeprecated() || file.Proto.GetOptions().GetDeprecated())
	made := &Service{
		FullName:      string(service.Desc.FullName()),
		Quoted:        strconv.Quote(string(service.Desc.FullName())),
		Comment:       comment,
		Deprecated:    deprecation,
		Name:          name + "Name",
		Publisher:     name + "Publisher",
		PublisherType: small(name) + "Publisher",
		NewPublisher:  "New" + name + "Publisher",
		Client:        name + "Client",
		ClientType:    small(name) + "Client",
		NewClient:     "New" + name + "Client",
		Handler:       name + "Handler",
		Unimplemented: "Unimplemented" + name + "Handler",
		Register:      "Register" + name + "Handler",
		Subscriber:    name + "Subscriber",
		NewSubscriber: "New" + name + "Subscriber",
	}
	var methods []*protogen.Method
	for _, method := range service.Methods {
		spec := specs[method.Desc.FullName()]
		if spec == nil {
			continue
		}
		m := b.method(made, service, method, spec)
		methods = append(methods, method)
		made.Methods = append(made.Methods, m)
		if m.IsRequest {
			made.Calls = append(made.Calls, m)
		} else {
			made.Sends = append(made.Sends, m)
		}
	}
	if len(methods) > 0 {
		b.declare(made, service, methods)
	}
	return made
}

func (b *builder) method(parent *Service, service *protogen.Service, method *protogen.Method, spec *contract.Spec) *Method {
	name := method.GoName
	options, _ := method.Desc.Options().(*descriptorpb.MethodOptions)
	comment, deprecation := documented(method.Comments.Leading, options.GetDeprecated() || parent.Deprecated != nil)
	made := &Method{
		FullName:   parent.FullName + "." + spec.Method,
		Quoted:     strconv.Quote(spec.Method),
		Comment:    comment,
		Deprecated: deprecation,

		Name: name, Async: name + "Async", Batch: name + "Batch",
		On: "On" + name, OnBatch: "On" + name + "Batch", Receive: "Receive" + name, All: "All" + name,
		Topic: service.GoName + name + "Topic",
		Spec:  small(service.GoName) + name,

		Kind:       spec.Kind.String(),
		KindName:   kindNames[spec.Kind],
		IsRequest:  spec.Kind == contract.Request,
		TopicValue: strconv.Quote(spec.Topic), Aliases: stringList(spec.Aliases),
		Group: quoteUnlessEmpty(spec.Group), GroupAliases: stringList(spec.GroupAliases),
		EventType: strconv.Quote(spec.Type), TypeAliases: stringList(spec.TypeAliases),
		Policy: policy(spec.Policy),
		Input:  b.messageType(method.Input),
		Output: b.messageType(method.Output),
		Key:    value(method.Input, spec.Key), MessageID: value(method.Input, spec.MessageID),
	}
	if spec.Timeout != 0 {
		made.Timeout = duration(&spec.Timeout)
	}
	for _, h := range spec.Headers {
		made.Headers = append(made.Headers, Header{Name: strconv.Quote(h.Name), Value: *value(method.Input, h.Field)})
	}
	for _, message := range []*protogen.Message{method.Input, method.Output} {
		b.checkPackage(b.gen.FilesByPath[message.Desc.ParentFile().Path()])
	}
	return made
}

var kindNames = map[contract.Kind]string{
	contract.Event:   "KindEvent",
	contract.Command: "KindCommand",
	contract.Request: "KindRequest",
}

func (b *builder) messageType(message *protogen.Message) Type {
	file := b.gen.FilesByPath[message.Desc.ParentFile().Path()]
	return Type{
		Name:       message.GoIdent.GoName,
		Package:    string(file.GoPackageName),
		ImportPath: string(file.GoImportPath),
	}
}
