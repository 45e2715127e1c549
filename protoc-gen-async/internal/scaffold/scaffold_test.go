package scaffold_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/asyncpb/async/proto"
	"github.com/asyncpb/async/protoc-gen-async/internal/scaffold"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWriteSaysWhatItWroteAndWhatIsNext(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	var out bytes.Buffer
	if err := scaffold.Write(dir, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"proto/async/v1/annotations.proto", "buf.yaml", "buf.gen.yaml"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if !strings.Contains(out.String(), "wrote "+path+"\n") {
			t.Errorf("it does not say that it wrote %s:\n%s", path, out.String())
		}
	}
	if !strings.Contains(out.String(), "Run: buf generate") {
		t.Errorf("it does not say what is next:\n%s", out.String())
	}
	written, err := os.ReadFile(filepath.Join(dir, "proto/async/v1/annotations.proto"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, proto.Annotations) || !bytes.Contains(written, []byte(`go_package = "github.com/asyncpb/async/gen/async/v1;asyncv1"`)) {
		t.Error("the annotations are not the published ones")
	}
}

func TestWriteTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := scaffold.Write(dir, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := scaffold.Write(dir, &out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "wrote ") || !strings.Contains(out.String(), "has everything already") {
		t.Errorf("it says:\n%s", out.String())
	}
}

func TestWriteKeepsWhatDiffers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"buf.yaml", "buf.gen.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("version: v2\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := scaffold.Write(dir, new(bytes.Buffer))
	if err == nil {
		t.Fatal("it wrote over files that differ")
	}
	for _, want := range []string{
		filepath.Join(dir, "buf.yaml") + " exists and differs from what init would write; keep it and add proto to its modules",
		filepath.Join(dir, "buf.gen.yaml") + " exists and differs from what init would write; keep it and add the plugin protoc-gen-async",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "proto")); !os.IsNotExist(err) {
		t.Errorf("it wrote a part: %v", err)
	}
}
