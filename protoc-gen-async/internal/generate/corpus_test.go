package generate_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"

	"github.com/asyncpb/async/internal/compiletest"
)

// Whatever valid thing a file says, the code that is generated for it is good Go. The corpus is made from a fixed seed,
// out of names and comments chosen to hurt.
func TestOddButValidFilesGiveGoodGo(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 1071))
	dir := t.TempDir()
	compiletest.Module(t, dir, "example.com/corpus")
	for i := range 24 {
		path := fmt.Sprintf("odd%d/odd.proto", i)
		parameter := "paths=source_relative"
		if i%4 == 3 {
			parameter += ",package_suffix="
		}
		source := oddFile(random, i)
		request := compiletest.Request(t, compiletest.Texts(map[string]string{path: source}), parameter, path)
		files := generated(t, request)
		if len(files) != 1 {
			t.Fatalf("generated %d files for\n%s", len(files), source)
		}
		gen, err := protogen.Options{ParamFunc: func(string, string) error { return nil }}.New(request)
		if err != nil {
			t.Fatal(err)
		}
		gengo.GenerateFile(gen, gen.FilesByPath[path])
		for _, f := range gen.Response().GetFile() {
			files[f.GetName()] = f.GetContent()
		}
		for name, content := range files {
			file := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	compiletest.Go(t, dir, "vet", "./...")
}

// goPackages are names of Go packages that are taken by something else in generated code.
var goPackages = []string{
	"async", "context", "errors", "iter", "proto", "time", "ctx", "msg", "msgs", "opts", "rt", "h", "p", "c", "s", "m", "req", "string", "error", "new",
	"uint32", "any", "v1", "fooBar", "runtime", "emptypb",
}

// rpcNames go together: none is what another one becomes.
var rpcNames = []string{
	"Type", "Close", "Func", "Range", "select", "interface_", "_", "On", "All", "Receive", "Name", "Topic", "Publisher", "Client", "Handler",
	"Subscriber", "Send", "Err", "String", "get_it", "HTTP", "x1", "m", "Context", "Len", "Error", "New", "Spec", "Nil", "Any", "Join",
}

var fieldNames = []string{"type", "func", "string", "reset", "descriptor", "get_id", "proto_message", "Marshal", "x_1", "_x", "build", "size"}

var oddComments = []string{
	"", "// */ /* */", "//go:build never", "// +build never", "//line x.go:1", "//go:generate false", "// `\"'%!s(MISSING) \\n {{end}}",
	"// Deprecated: no", "/* a\n * b */", "//\n//\n// #heading\n//   code\n//\t- list", "// 한국어 \u202e\u2028 \ufffd", "//export X", "//nolint", "// http://x",
}

// oddFile returns a valid file, each service with a message of its own whose fields have roles and odd names.
func oddFile(random *rand.Rand, i int) string {
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nsyntax = \"proto3\";\npackage odd%d;\nimport \"async/v1/annotations.proto\";\nimport \"google/protobuf/empty.proto\";\n", headerComment(pick), i)
	fmt.Fprintf(&b, "option go_package = \"example.com/corpus/odd%d;%s\";\n", i, pick(goPackages))
	if random.IntN(4) == 0 {
		b.WriteString("option deprecated = true;\n")
	}
	for s, service := range []string{"func", "Orders_", "_x", "HTTPService"}[:1+random.IntN(4)] {
		fmt.Fprintf(&b, "%s\nservice %s {\n", pick(oddComments), service)
		for _, at := range random.Perm(len(rpcNames))[:1+random.IntN(8)] {
			fmt.Fprintf(&b, "%s\nrpc %s(.odd%d.in%d) %s\n", pick(oddComments), rpcNames[at], i, s, pick([]string{
				"returns (google.protobuf.Empty) { option (async.v1.method) = {event: {type: \"\\\"`\\\\\"}}; }",
				"returns (google.protobuf.Empty) { option deprecated = true; option (async.v1.method) = {policy: {ordering: ORDERING_BY_KEY ttl: {nanos: 1} retry: {multiplier: 1e300 jitter: 1e-300}}}; }",
				fmt.Sprintf("returns (.odd%d.in%d.out) { option (async.v1.method) = {request: {timeout: {seconds: 1 nanos: 1}}}; }", i, s),
				"returns (stream google.protobuf.Empty) {}",
			}))
		}
		fmt.Fprintf(&b, "rpc Always_(.odd%d.in%d) returns (google.protobuf.Empty) { option (async.v1.method) = {aliases: \"old\" group_aliases: [\"a\", \"b\"]}; }\n}\n", i, s)
		fmt.Fprintf(&b, "message in%d {\n  %s %s = 1 [(async.v1.field).key = true, (async.v1.field).header = \"k\"];\n", s,
			pick([]string{"string", "bytes", "optional int32", "uint64", "sfixed64", "optional string", "state", "optional fixed32"}), pick(fieldNames))
		fmt.Fprintf(&b, "  oneof what { %s field_ = 2 [(async.v1.field).header = \"f\"]; string id_ = 3 [(async.v1.field).message_id = true]; }\n",
			pick([]string{"bool", "float", "double", "bytes", "state", "sint32"}))
		b.WriteString("  message out {}\n  enum state { state_0 = 0; }\n}\n")
	}
	return b.String()
}

// headerComment leaves out what protoc-gen-go takes for a build constraint.
func headerComment(pick func([]string) string) string {
	if comment := pick(oddComments); !strings.Contains(comment, "build") {
		return comment
	}
	return ""
}
