package hangtest_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/asyncpb/async/internal/hangtest"
)

// hanging has the test binary hang in place of its tests.
const hanging = "HANGTEST_HANG"

func TestMain(m *testing.M) {
	if os.Getenv(hanging) != "" {
		defer hangtest.Watch()()
		select {}
	}
	goleak.VerifyTestMain(m)
}

func TestWhatHangsEndsItsProcess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	self := exec.CommandContext(ctx, os.Args[0])
	self.Env = append(os.Environ(), hanging+"=1")
	said, err := self.CombinedOutput()
	if err == nil || ctx.Err() != nil || !strings.Contains(string(said), "takes longer than 1s") || !strings.Contains(string(said), "hangtest_test.TestMain") {
		t.Errorf("got %v, and it says %s", err, said)
	}
}

func TestWhatEndsInTimeIsLeftAlone(t *testing.T) {
	t.Parallel()
	for range 1000 {
		hangtest.Watch()()
	}
}

// TestEveryFuzzTargetIsWatchedAndHasACorpus reads the tests of the module.
func TestEveryFuzzTargetIsWatchedAndHasACorpus(t *testing.T) {
	t.Parallel()
	const root = "../.."
	targets := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, is := d.(*ast.FuncDecl)
			if !is || !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			targets++
			if !watched(f) {
				t.Errorf("%s: %s does not begin each input with defer hangtest.Watch()()", path, f.Name.Name)
			}
			kept, err := os.ReadDir(filepath.Join(filepath.Dir(path), "testdata", "fuzz", f.Name.Name))
			if err != nil || len(kept) == 0 {
				t.Errorf("%s: %s has no corpus: %v", path, f.Name.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if targets < 10 {
		t.Errorf("%d targets were found", targets)
	}
}

// watched reports whether the function that a target gives to Fuzz begins with a watch.
func watched(target *ast.FuncDecl) bool {
	found := false
	ast.Inspect(target.Body, func(n ast.Node) bool {
		call, is := n.(*ast.CallExpr)
		if !is || len(call.Args) != 1 {
			return true
		}
		method, is := call.Fun.(*ast.SelectorExpr)
		input, fits := call.Args[0].(*ast.FuncLit)
		if !is || !fits || method.Sel.Name != "Fuzz" || len(input.Body.List) == 0 {
			return true
		}
		d, is := input.Body.List[0].(*ast.DeferStmt)
		if !is {
			return true
		}
		watch, is := d.Call.Fun.(*ast.CallExpr)
		if !is {
			return true
		}
		name, is := watch.Fun.(*ast.SelectorExpr)
		found = is && name.Sel.Name == "Watch"
		return true
	})
	return found
}
