package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/asyncpb/async/internal/compiletest"
	"github.com/asyncpb/async/internal/version"
	"github.com/asyncpb/async/protoc-gen-async/internal/generate"
	async "github.com/asyncpb/async/runtime"
)

// asPlugin makes the test binary the plugin itself, so that tests run it as a process without building it.
const asPlugin = "PROTOC_GEN_ASYNC_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

type outcome struct {
	stdout, stderr string
	failed         bool
}

func plugin(t *testing.T, stdin []byte, args ...string) outcome {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	command := exec.Command(self, args...)
	command.Env = append(os.Environ(), asPlugin+"=1")
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err = command.Run()
	return outcome{stdout.String(), stderr.String(), err != nil}
}

func orders(t *testing.T) *pluginpb.CodeGeneratorRequest {
	t.Helper()
	return compiletest.Request(t, compiletest.Dir("internal/testdata"), "paths=source_relative", "orders/orders.proto")
}

func respond(t *testing.T, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, outcome) {
	t.Helper()
	raw, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	got := plugin(t, raw)
	if got.failed {
		t.Fatalf("the process failed: %s", got.stderr)
	}
	response := new(pluginpb.CodeGeneratorResponse)
	if err := proto.Unmarshal([]byte(got.stdout), response); err != nil {
		t.Fatal(err)
	}
	return response, got
}

func TestProcessAnswersOnStdout(t *testing.T) {
	t.Parallel()
	response, got := respond(t, orders(t))
	want, _ := generate.Response(orders(t))
	if diff := cmp.Diff(want, response, protocmp.Transform()); diff != "" {
		t.Errorf("the response differs (-want +got):\n%s", diff)
	}
	if got.stderr != "" {
		t.Errorf("it says %q", got.stderr)
	}
	if response.GetSupportedFeatures()&uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL) == 0 ||
		response.GetSupportedFeatures()&uint64(pluginpb.CodeGeneratorResponse_FEATURE_SUPPORTS_EDITIONS) == 0 {
		t.Errorf("supported features are %b", response.GetSupportedFeatures())
	}
}

func TestRefusalIsAResponse(t *testing.T) {
	t.Parallel()
	request := orders(t)
	request.Parameter = new("package_suffix=-")
	response, _ := respond(t, request)
	if !strings.Contains(response.GetError(), "package_suffix") {
		t.Errorf("the error is %q", response.GetError())
	}
}

func TestWarningsGoToStderr(t *testing.T) {
	t.Parallel()
	request := compiletest.Request(t, compiletest.Texts(map[string]string{"a.proto": `syntax = "proto3";
package a;
import "async/v1/annotations.proto";
import "google/protobuf/empty.proto";
option go_package = "example.com/a";
service A {
  rpc Placed(Outer) returns (google.protobuf.Empty) { option (async.v1.method) = {event: {}}; }
}
message Outer { Inner inner = 1; }
message Inner { string id = 1 [(async.v1.field).key = true]; }
`}), "", "a.proto")
	response, got := respond(t, request)
	if len(response.GetFile()) != 1 {
		t.Errorf("generated %d files: %s", len(response.GetFile()), response.GetError())
	}
	want := "a.proto:10:31: warning: field a.Inner.id is annotated, which has no effect: a.Inner is not the input of an rpc but inside one; annotate a field of the input\n"
	if got.stderr != want {
		t.Errorf("it says %q, want %q", got.stderr, want)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		args  []string
		stdin string
		want  outcome // texts are parts of what is said
	}{
		{"--version prints the version", []string{"--version"}, "", outcome{stdout: "protoc-gen-async v" + version.Version + "\n"}},
		{"--help says what there is", []string{"--help"}, "", outcome{stdout: "protoc-gen-async init [dir]"}},
		{"an unknown argument is refused", []string{"--nope"}, "", outcome{stderr: `unknown arguments ["--nope"]`, failed: true}},
		{"init takes one folder", []string{"init", "a", "b"}, "", outcome{stderr: "unknown arguments", failed: true}},
		{"what is no request is refused", nil, "\xff", outcome{stderr: "decode the request", failed: true}},
		{"an empty request is answered with an error", nil, "", outcome{stdout: "the request names no file to generate"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := plugin(t, []byte(row.stdin), row.args...)
			if got.failed != row.want.failed || !strings.Contains(got.stdout, row.want.stdout) || !strings.Contains(got.stderr, row.want.stderr) {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestVersionIsThatOfTheRuntime(t *testing.T) {
	t.Parallel()
	if version.Version != async.Version {
		t.Errorf("the plugin is %s and the runtime %s", version.Version, async.Version)
	}
}

// A user's repository, from nothing to code that compiles: init, a service, buf lint, buf generate, go vet.
func TestInitBufGenerateCompile(t *testing.T) {
	t.Parallel()
	dir, bin := t.TempDir(), t.TempDir()
	if got := plugin(t, nil, "init", dir); got.failed {
		t.Fatal(got.stderr)
	}
	compiletest.Module(t, dir, "example.com/shop")
	checkout := compiletest.Checkout(t)
	build(t, checkout, filepath.Join(bin, "protoc-gen-async"), "./protoc-gen-async")
	build(t, checkout, filepath.Join(bin, "protoc-gen-go"), "google.golang.org/protobuf/cmd/protoc-gen-go")
	build(t, checkout, filepath.Join(bin, "buf"), "-modfile=tools/go.mod", "github.com/bufbuild/buf/cmd/buf")
	write(t, filepath.Join(dir, "proto/acme/shop/v1/shop.proto"), `syntax = "proto3";

package acme.shop.v1;

import "async/v1/annotations.proto";
import "google/protobuf/empty.proto";

option go_package = "example.com/shop/gen/acme/shop/v1;shopv1";

service Shop {
  rpc Sold(Item) returns (google.protobuf.Empty) {
    option (async.v1.method) = {event: {}};
  }
  rpc Price(Item) returns (Item) {
    option (async.v1.method) = {};
  }
}

message Item {
  string id = 1 [(async.v1.field).key = true];
}
`)
	write(t, filepath.Join(dir, "main.go"), `package main

import (
	shopv1 "example.com/shop/gen/acme/shop/v1"
	"example.com/shop/gen/acme/shop/v1/shopv1async"
)

func main() { println(shopv1async.ShopSoldTopic, new(shopv1.Item).GetId()) }
`)
	run := func(args ...string) {
		t.Helper()
		command := exec.Command(filepath.Join(bin, "buf"), args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("buf %v: %v\n%s", args, err, out)
		}
	}
	run("lint")
	run("generate")
	compiletest.Go(t, dir, "vet", "./...")
	if _, err := os.Stat(filepath.Join(dir, "gen/async")); !os.IsNotExist(err) {
		t.Errorf("the Go code of the annotations was generated again: %v", err)
	}

	// Managed mode, switched on by the user, leaves the annotations alone.
	config, err := os.ReadFile(filepath.Join(dir, "buf.gen.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "buf.gen.yaml"), strings.Replace(string(config), "  enabled: false\n",
		"  enabled: true\n  override:\n    - file_option: go_package_prefix\n      value: example.com/shop/gen\n", 1))
	run("generate")
	compiletest.Go(t, dir, "vet", "./...")
}

func build(t *testing.T, dir, out string, args ...string) {
	t.Helper()
	command := exec.Command("go", append([]string{"build", "-o", out}, args...)...)
	command.Dir = dir
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", filepath.Base(out), err, said)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
