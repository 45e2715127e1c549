package generate_test

import (
	"go/parser"
	"go/token"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/asyncpb/async/internal/hangtest"
	"github.com/asyncpb/async/protoc-gen-async/internal/generate"
)

// FuzzRequest sends any bytes to the plugin: the answer is an error or code that parses, never a panic.
func FuzzRequest(f *testing.F) {
	for _, g := range goldens {
		raw, err := proto.Marshal(small(g.request(f)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(nil))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		defer hangtest.Watch()()
		request := new(pluginpb.CodeGeneratorRequest)
		if proto.Unmarshal(raw, request) != nil {
			return
		}
		checkAnswer(t, request)
	})
}

// small leaves out the annotations, which options are read without, what they import, and positions: the fuzzer is slow
// on long inputs.
func small(request *pluginpb.CodeGeneratorRequest) *pluginpb.CodeGeneratorRequest {
	unused := []string{"async/v1/annotations.proto", "google/protobuf/descriptor.proto", "google/protobuf/duration.proto"}
	if len(request.GetFileToGenerate()) == 1 && request.GetFileToGenerate()[0] == "opaque/opaque.proto" {
		unused = unused[:1] // its features extend what descriptor.proto declares
	}
	request.ProtoFile = slices.DeleteFunc(request.GetProtoFile(), func(file *descriptorpb.FileDescriptorProto) bool {
		file.SourceCodeInfo = nil
		file.Dependency = slices.DeleteFunc(file.GetDependency(), func(name string) bool { return slices.Contains(unused, name) })
		return slices.Contains(unused, file.GetName())
	})
	return request
}

// FuzzMutatedRequest changes valid requests field by field, which reaches further than changing bytes does.
func FuzzMutatedRequest(f *testing.F) {
	var requests []*pluginpb.CodeGeneratorRequest
	for i, g := range goldens {
		requests = append(requests, g.request(f))
		for seed := range uint64(4) {
			f.Add(uint8(i), seed, uint8(1+seed))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, seed uint64, changes uint8) {
		defer hangtest.Watch()()
		request := proto.CloneOf(requests[int(which)%len(requests)])
		random := rand.New(rand.NewPCG(seed, uint64(which)))
		for range int(changes)%16 + 1 {
			mutate(random, request)
		}
		checkAnswer(t, request)
	})
}

func checkAnswer(t *testing.T, request *pluginpb.CodeGeneratorRequest) {
	t.Helper()
	response, _ := generate.Response(request)
	if _, err := proto.Marshal(response); err != nil {
		t.Errorf("the response cannot be encoded: %v", err)
	}
	if response.GetError() != "" && len(response.GetFile()) > 0 {
		t.Errorf("refused with %q, and generated %d files", response.GetError(), len(response.GetFile()))
	}
	for _, file := range response.GetFile() {
		if !strings.HasSuffix(file.GetName(), ".go") {
			continue // annotate_code makes others
		}
		if _, err := parser.ParseFile(token.NewFileSet(), file.GetName(), file.GetContent(), parser.SkipObjectResolution); err != nil {
			t.Errorf("generated code does not parse: %v", err)
		}
	}
}

// oddStrings are what names, comments and paths become.
var oddStrings = []string{
	"", " ", ".", "..", "/", "\x00", "\xff", "*/", "//", "`", "\"", "\n", "\r", "\ufeff", "+build x", "go:build x", "_", "type", "func",
	"Async", "v1", "main", "한국", "a b", ".acme.orders.v1.ShipRequest", "google.protobuf.Empty", strings.Repeat("x", 300), "A.B", "a;b", ";main", "-", "proto2",
	"editions", "proto3", "package_suffix=", "package_suffix=1", "paths=import,module=x", "annotate_code", "M=x", "x=y",
}

// mutate changes one field somewhere in the files to generate, or in the request itself.
func mutate(random *rand.Rand, request *pluginpb.CodeGeneratorRequest) {
	m := request.ProtoReflect()
	if random.IntN(8) > 0 && len(request.GetProtoFile()) > 0 {
		files := request.GetProtoFile()
		m = files[len(files)-1].ProtoReflect() // what is generated comes last
		if random.IntN(4) == 0 {
			m = files[random.IntN(len(files))].ProtoReflect()
		}
	}
	for {
		var set []protoreflect.FieldDescriptor
		for i := range m.Descriptor().Fields().Len() {
			if field := m.Descriptor().Fields().Get(i); m.Has(field) || random.IntN(6) == 0 {
				set = append(set, field)
			}
		}
		if len(set) == 0 {
			return
		}
		field := set[random.IntN(len(set))]
		inner, stop := mutateField(random, m, field)
		if stop {
			return
		}
		m = inner
	}
}

// mutateField changes a field, or returns a message in it to go on with.
func mutateField(random *rand.Rand, m protoreflect.Message, field protoreflect.FieldDescriptor) (protoreflect.Message, bool) {
	if random.IntN(12) == 0 {
		m.Clear(field)
		return nil, true
	}
	if field.IsMap() {
		return nil, true
	}
	if field.IsList() {
		list := m.Mutable(field).List()
		if list.Len() == 0 || random.IntN(10) == 0 {
			list.Append(list.NewElement())
		}
		at := random.IntN(list.Len())
		if field.Message() != nil {
			if random.IntN(12) == 0 {
				list.Append(protoreflect.ValueOfMessage(proto.Clone(list.Get(at).Message().Interface()).ProtoReflect()))
				return nil, true
			}
			return list.Get(at).Message(), false
		}
		list.Set(at, scalar(random, field))
		return nil, true
	}
	if field.Message() != nil {
		return m.Mutable(field).Message(), false
	}
	m.Set(field, scalar(random, field))
	return nil, true
}

func scalar(random *rand.Rand, field protoreflect.FieldDescriptor) protoreflect.Value {
	number := []int64{0, 1, -1, 2, 9, 11, 1000, 71071, 1 << 29, -1 << 31}[random.IntN(10)]
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(oddStrings[random.IntN(len(oddStrings))])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(oddStrings[random.IntN(len(oddStrings))]))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(number&1 == 1)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(number))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(number))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(number))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(number))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(number))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(number))
	default:
		return protoreflect.ValueOfInt64(number)
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	file := func(name string) *descriptorpb.FileDescriptorProto {
		return &descriptorpb.FileDescriptorProto{Name: new(name), Options: &descriptorpb.FileOptions{GoPackage: new("example.com/a")}}
	}
	for _, row := range []struct {
		name    string
		request *pluginpb.CodeGeneratorRequest
		want    string
	}{
		{"nothing to generate", &pluginpb.CodeGeneratorRequest{}, "the request names no file to generate"},
		{"a file that is missing", &pluginpb.CodeGeneratorRequest{FileToGenerate: []string{"a.proto"}}, "a.proto"},
		{"a file that is there twice", &pluginpb.CodeGeneratorRequest{
			FileToGenerate: []string{"a.proto"}, ProtoFile: []*descriptorpb.FileDescriptorProto{file("a.proto"), file("a.proto")},
		}, `the request holds "a.proto" twice`},
		{"a file without a Go package", &pluginpb.CodeGeneratorRequest{
			FileToGenerate: []string{"a.proto"}, ProtoFile: []*descriptorpb.FileDescriptorProto{{Name: new("a.proto")}},
		}, "go_package"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response, _ := generate.Response(row.request)
			if !strings.Contains(response.GetError(), row.want) {
				t.Errorf("got %q, want %q in it", response.GetError(), row.want)
			}
		})
	}
}

func TestSeedsOfTheFuzzerAreValid(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		if response, _ := generate.Response(small(g.request(t))); response.Error != nil {
			t.Errorf("%s: %s", g.name, response.GetError())
		}
	}
}
