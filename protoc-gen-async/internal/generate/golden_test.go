package generate_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/asyncpb/async/internal/compiletest"
	"github.com/asyncpb/async/protoc-gen-async/internal/generate"
)

var update = flag.Bool("update", false, "write the golden files and the code of their messages")

const testdata = "../testdata"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type golden struct {
	name      string
	parameter string
	files     []string
}

// goldens are the folders of testdata, each named by its hazard. What is generated for them is committed beside them and
// compiled with this package's tests.
var goldens = []golden{
	{name: "orders", files: []string{"orders/orders.proto"}},
	{name: "policies", files: []string{"policies/policies.proto"}},
	{name: "keywords", files: []string{"keywords/keywords.proto"}},
	{name: "comments", files: []string{"comments/comments.proto"}},
	{name: "nameclash", files: []string{"nameclash/one/v1/one.proto", "nameclash/two/v1/two.proto", "nameclash/nameclash.proto"}},
	{name: "nested", files: []string{"nested/nested.proto"}},
	{name: "nopackage", files: []string{"nopackage/nopackage.proto"}},
	{name: "editions", files: []string{"editions/editions.proto"}},
	{name: "opaque", files: []string{"opaque/opaque.proto"}},
	{name: "samepackage", parameter: "package_suffix=", files: []string{"samepackage/samepackage.proto"}},
}

func (g golden) request(tb testing.TB) *pluginpb.CodeGeneratorRequest {
	tb.Helper()
	parameter := strings.Trim("paths=source_relative,"+g.parameter, ",")
	return compiletest.Request(tb, compiletest.Dir(testdata), parameter, g.files...)
}

// generated returns the files that are generated for a request, by name.
func generated(tb testing.TB, request *pluginpb.CodeGeneratorRequest) map[string]string {
	tb.Helper()
	response, _ := generate.Response(request)
	if response.Error != nil {
		tb.Fatalf("refused:\n%s", response.GetError())
	}
	files := map[string]string{}
	for _, f := range response.GetFile() {
		files[f.GetName()] = f.GetContent()
	}
	return files
}

func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			got := generated(t, g.request(t))
			if *update {
				writeMessages(t, g)
				write(t, got)
			}
			if diff := cmp.Diff(committed(t, g.name), got); diff != "" {
				t.Errorf("generated code differs from what is committed; if that is meant, run the test with -update (-committed +generated):\n%s", diff)
			}
		})
	}
}

// committed returns the generated files in the folder of a golden case.
func committed(tb testing.TB, name string) map[string]string {
	tb.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(filepath.Join(testdata, name), func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".async.go") {
			return err
		}
		content, err := os.ReadFile(path)
		relative, relErr := filepath.Rel(testdata, path)
		if relErr != nil {
			return relErr
		}
		files[filepath.ToSlash(relative)] = string(content)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// writeMessages writes what protoc-gen-go generates for a golden case.
func writeMessages(tb testing.TB, g golden) {
	tb.Helper()
	gen, err := protogen.Options{ParamFunc: func(string, string) error { return nil }}.New(g.request(tb))
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range gen.Files {
		if file.Generate {
			gengo.GenerateFile(gen, file)
		}
	}
	files := map[string]string{}
	for _, f := range gen.Response().GetFile() {
		files[f.GetName()] = f.GetContent()
	}
	write(tb, files)
}

func write(tb testing.TB, files map[string]string) {
	tb.Helper()
	for name, content := range files {
		path := filepath.Join(testdata, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestFileWithoutAnnotationsGivesNoOutput(t *testing.T) {
	t.Parallel()
	request := compiletest.Request(t, compiletest.Dir(testdata), "", "unannotated/unannotated.proto")
	if got := generated(t, request); len(got) != 0 {
		t.Errorf("generated %v", got)
	}
}

func TestSameRequestGivesSameBytes(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		first, _ := generate.Response(g.request(t))
		second, _ := generate.Response(g.request(t))
		if diff := cmp.Diff(first, second, protocmp.Transform()); diff != "" {
			t.Errorf("%s: the second response differs:\n%s", g.name, diff)
		}
	}
}

func TestOrderOfFilesDoesNotMatter(t *testing.T) {
	t.Parallel()
	paths := []string{"orders/orders.proto", "policies/policies.proto", "nested/nested.proto", "nameclash/nameclash.proto"}
	forward := compiletest.Request(t, compiletest.Dir(testdata), "paths=source_relative", paths...)
	backward := proto.CloneOf(forward)
	slices.Reverse(backward.GetFileToGenerate())
	first, _ := generate.Response(forward)
	second, _ := generate.Response(backward)
	if diff := cmp.Diff(first, second, protocmp.Transform()); diff != "" {
		t.Errorf("the response differs:\n%s", diff)
	}
}
