package generate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/internal/compiletest"
	"github.com/asyncpb/async/protoc-gen-async/internal/generate"
)

// parameters are those of refusals that need some.
var parameters = map[string]string{"clash_messages": "package_suffix="}

// Each .proto file in testdata/invalid has a .err file beside it that holds what the plugin says.
func TestRefusals(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testdata, "invalid")
	files, err := filepath.Glob(filepath.Join(dir, "*.proto"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".proto")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, _ := generate.Response(compiletest.Request(t, compiletest.Dir(dir), parameters[name], name+".proto"))
			if response.GetError() == "" {
				t.Fatal("not refused")
			}
			if len(response.GetFile()) > 0 {
				t.Errorf("refused, and generated %d files", len(response.GetFile()))
			}
			golden := filepath.Join(dir, name+".err")
			got := response.GetError() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the refusal differs (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	heading = `syntax = "proto3";
import "async/v1/annotations.proto";
import "google/protobuf/empty.proto";
`
	message = `message Message { string id = 1; }`
)

func TestRefusalsOfSeveralFilesComeTogether(t *testing.T) {
	t.Parallel()
	source := compiletest.Texts(map[string]string{
		"a.proto": heading + `package a; option go_package = "example.com/same"; import "b.proto";
			service A { rpc Placed(b.Message) returns (b.Message) { option (async.v1.method) = {event: {} topic: "/same"}; } }`,
		"b.proto": heading + `package b; option go_package = "example.com/same";
			service A { rpc Moved(Message) returns (google.protobuf.Empty) { option (async.v1.method) = {command: {} topic: "/same"}; } }` + message,
		"c/a.proto": heading + `package c; option go_package = "example.com/same"; import "b.proto";
			service C { rpc Placed(b.Message) returns (google.protobuf.Empty) { option (async.v1.method) = {event: {}}; } }`,
	})
	response, _ := generate.Response(compiletest.Request(t, source, "", "a.proto", "b.proto", "c/a.proto"))
	want := strings.Join([]string{
		`a.proto:5:37: event A.Placed returns b.Message, and nobody would receive it; let it return google.protobuf.Empty, or make it a request`,
		`b.proto:5:25: generated name AName of service b.A is that of service a.A as well; rename one of the two`,
		`b.proto:5:90: topic "same" is that of the event A.Placed and of the command A.Moved; give one of them another topic`,
		`c/a.proto:4:12: generated file example.com/same/sameasync/a.async.go is that of a.proto as well; rename one of the two .proto files`,
	}, "\n")
	if diff := cmp.Diff(want, response.GetError()); diff != "" {
		t.Errorf("the refusals differ (-want +got):\n%s", diff)
	}
}

func TestAnImportedTopicIsRefusedWhereCodeIsGenerated(t *testing.T) {
	t.Parallel()
	source := compiletest.Texts(map[string]string{
		"a.proto": heading + `package a; option go_package = "example.com/a"; import "z.proto";
			service A { rpc Placed(z.Message) returns (google.protobuf.Empty) { option (async.v1.method) = {event: {} topic: "/z"}; } }`,
		"z.proto": heading + `package z; option go_package = "example.com/z";
			service Z { rpc Moved(google.protobuf.Empty) returns (google.protobuf.Empty) { option (async.v1.method) = {event: {} topic: "/z"}; } }` + message,
	})
	response, _ := generate.Response(compiletest.Request(t, source, "", "a.proto"))
	want := `a.proto:5:93: topic "z" of A.Placed carries z.Message, and Z.Moved sends google.protobuf.Empty to it; give one of them another topic`
	if diff := cmp.Diff(want, response.GetError()); diff != "" {
		t.Errorf("the refusal differs (-want +got):\n%s", diff)
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, parameter, want string }{
		{"an unknown parameter is refused", "suffix=x", `parameter "suffix" is not known; the parameters are package_suffix, paths, module and M<file>`},
		{"a suffix that makes no package name is refused", "package_suffix=-x", `package_suffix "-x" makes no Go package name; write small letters, digits and underscores, or nothing`},
		{"module and source_relative do not go together", "module=m,paths=source_relative", "cannot use module= with paths=source_relative"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response, _ := generate.Response(compiletest.Request(t, compiletest.Dir(testdata), row.parameter, "orders/orders.proto"))
			if response.GetError() != row.want {
				t.Errorf("got %q, want %q", response.GetError(), row.want)
			}
		})
	}
}

func TestWhereFilesGo(t *testing.T) {
	t.Parallel()
	base := "github.com/asyncpb/async/protoc-gen-async/internal/testdata/orders/"
	for _, row := range []struct{ name, parameter, want string }{
		{"by default in a sub-folder of the import path", "", base + "ordersv1async/orders.async.go"},
		{"below the module", "module=github.com/asyncpb/async", strings.TrimPrefix(base, "github.com/asyncpb/async/") + "ordersv1async/orders.async.go"},
		{"beside the source", "paths=source_relative", "orders/ordersv1async/orders.async.go"},
		{"with a suffix of its own", "paths=source_relative,package_suffix=bus", "orders/ordersv1bus/orders.async.go"},
		{"beside the messages", "paths=source_relative,package_suffix=", "orders/orders.async.go"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			files := generated(t, compiletest.Request(t, compiletest.Dir(testdata), row.parameter, "orders/orders.proto"))
			if _, ok := files[row.want]; !ok || len(files) != 1 {
				t.Errorf("got %d files and not %s", len(files), row.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	source := compiletest.Texts(map[string]string{"a.proto": heading + `package a; option go_package = "example.com/a";
service A {
  rpc Placed(Outer) returns (google.protobuf.Empty) { option (async.v1.method) = {event: {}}; }
  rpc Quote(Outer) returns (Outer) { option (async.v1.method) = {policy: {retry: {max_attempts: 2}}}; }
  rpc Both(.a.Both) returns (google.protobuf.Empty) { option (async.v1.method) = {event: {}}; }
}
message Outer {
  map<string, Inner> inner = 1;
  Both both = 2;
}
message Both { string id = 1 [(async.v1.field).key = true]; }
message Inner {
  string id = 1 [(async.v1.field).key = true];
  string secret = 2 [(async.v1.field).sensitive = true];
  Inner inner = 3 [(async.v1.field).header = "inner"];
}
`})
	response, warnings := generate.Response(compiletest.Request(t, source, "", "a.proto"))
	if response.Error != nil {
		t.Fatalf("refused: %s", response.GetError())
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.String())
	}
	want := []string{
		"a.proto:7:38: warning: request A.Quote has a retry policy, which has no effect: the error of its handler is the reply; remove it, or make it a command",
		"a.proto:16:17: warning: field a.Inner.id is annotated, which has no effect: a.Inner is not the input of an rpc but inside one; annotate a field of the input",
		"a.proto:18:19: warning: field a.Inner.inner is annotated, which has no effect: a.Inner is not the input of an rpc but inside one; annotate a field of the input",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the warnings differ (-want +got):\n%s", diff)
	}
}
