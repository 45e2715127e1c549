// Package compiletest compiles .proto files in process, for tests: no compiler has to be installed, and comments and
// positions are kept.
package compiletest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	annotations "github.com/asyncpb/async/proto"
)

// Source gives the text of .proto files. The annotations and what belongs to protobuf itself need not be in it.
type Source func(path string) (io.ReadCloser, error)

// Dir is the files below a folder.
func Dir(dir string) Source {
	return func(path string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, filepath.FromSlash(path))) }
}

// Texts is files by path.
func Texts(texts map[string]string) Source {
	return func(path string) (io.ReadCloser, error) {
		text, ok := texts[path]
		if !ok {
			return nil, os.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}
}

// Files compiles the files of the given paths and links them.
func Files(tb testing.TB, source Source, paths ...string) linker.Files {
	tb.Helper()
	compiler := protocompile.Compiler{
		SourceInfoMode: protocompile.SourceInfoStandard,
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: func(path string) (io.ReadCloser, error) {
				if path == "async/v1/annotations.proto" {
					return io.NopCloser(strings.NewReader(string(annotations.Annotations))), nil
				}
				return source(path)
			},
		}),
	}
	files, err := compiler.Compile(context.Background(), paths...)
	if err != nil {
		tb.Fatalf("compile %v: %v", paths, err)
	}
	return files
}

// Request compiles the files of the given paths and returns the request that a compiler sends to a plugin for them.
func Request(tb testing.TB, source Source, parameter string, paths ...string) *pluginpb.CodeGeneratorRequest {
	tb.Helper()
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: paths}
	if parameter != "" {
		request.Parameter = new(parameter)
	}
	seen := map[string]bool{}
	for _, file := range Files(tb, source, paths...) {
		request.ProtoFile = appendFile(request.GetProtoFile(), file, seen)
	}
	return encoded(tb, request)
}

// appendFile puts the imports of a file in front of it.
func appendFile(files []*descriptorpb.FileDescriptorProto, file protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[file.Path()] {
		return files
	}
	seen[file.Path()] = true
	for i := range file.Imports().Len() {
		files = appendFile(files, file.Imports().Get(i).FileDescriptor, seen)
	}
	if result, ok := file.(linker.Result); ok {
		return append(files, result.FileDescriptorProto())
	}
	return append(files, protodesc.ToFileDescriptorProto(file))
}

// encoded sends a request over the wire and back, as a plugin sees it: with options that are known or unrecognised, but
// never half-way in between.
func encoded(tb testing.TB, request *pluginpb.CodeGeneratorRequest) *pluginpb.CodeGeneratorRequest {
	tb.Helper()
	raw, err := proto.Marshal(request)
	if err != nil {
		tb.Fatalf("encode the request: %v", err)
	}
	decoded := new(pluginpb.CodeGeneratorRequest)
	if err := proto.Unmarshal(raw, decoded); err != nil {
		tb.Fatalf("decode the request: %v", err)
	}
	return decoded
}
