package generate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"strings"
	"testing"

	// The committed code compiles.
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/comments/commentsasync"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/editions/editionsasync"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/keywords/ctxasync"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/nameclash/asyncasync"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/nested/nestedasync"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/nopackage/nopackageasync"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/opaque/opaqueasync"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/orders/ordersv1async"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/policies/policiesasync"
	_ "github.com/asyncpb/async/protoc-gen-async/internal/testdata/samepackage"
)

func TestGeneratedCodePassesVet(t *testing.T) {
	t.Parallel()
	command := exec.Command("go", "vet", "./...")
	command.Dir = testdata
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

// Generated code is data and forwarding: whatever needs a decision is in the runtime.
func TestGeneratedCodeDecidesNothing(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		for name, source := range generated(t, g.request(t)) {
			file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt, *ast.GoStmt, *ast.DeferStmt:
					t.Errorf("%s holds a %T", name, n)
				case *ast.FuncLit:
					checkBody(t, name, "a function literal", n.Body)
				case *ast.FuncDecl:
					checkBody(t, name, n.Name.Name, n.Body)
				}
				return true
			})
		}
	}
}

func checkBody(t *testing.T, file, what string, body *ast.BlockStmt) {
	t.Helper()
	if len(body.List) != 1 {
		t.Errorf("%s: %s has %d statements", file, what, len(body.List))
	}
}

// What a file, a service and an rpc may cost, in lines: comments included, and what only repeats an annotation not.
const (
	linesPerFile    = 25
	linesPerService = 60
	linesPerRPC     = 60
)

func TestGeneratedCodeIsShort(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		for name, source := range generated(t, g.request(t)) {
			services := strings.Count(source, "Handler interface {")
			rpcs := strings.Count(source, "= async.Spec{")
			lines := countLines(source)
			if services == 0 || rpcs == 0 {
				t.Fatalf("%s: found %d services and %d rpcs", name, services, rpcs)
			}
			limit := linesPerFile + services*linesPerService + rpcs*linesPerRPC
			t.Logf("%s: %d lines for %d services and %d rpcs, %d allowed", name, lines, services, rpcs, limit)
			if lines > limit {
				t.Errorf("%s has %d lines, more than %d", name, lines, limit)
			}
		}
	}
}

// countLines leaves out marks of deprecation and the insides of policies and headers.
func countLines(source string) int {
	lines, inSpec := 0, false
	for line := range strings.Lines(source) {
		inSpec = strings.HasSuffix(line, "= async.Spec{\n") || inSpec && line != "}\n"
		if !inSpec || !strings.HasPrefix(line, "\t\t") {
			lines++
		}
	}
	return lines - 2*strings.Count(source, "// Deprecated: ")
}

func TestEverythingExportedIsDocumented(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		for name, source := range generated(t, g.request(t)) {
			file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				checkDocumented(t, name, decl)
			}
		}
	}
}

// checkDocumented passes over methods of unexported types, and over those of Unimplemented…Handler, which the interface
// that they implement documents.
func checkDocumented(t *testing.T, file string, decl ast.Decl) {
	t.Helper()
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv != nil {
			receiver := receiverName(decl)
			if !ast.IsExported(receiver) || strings.HasPrefix(receiver, "Unimplemented") {
				return
			}
		}
		if decl.Name.IsExported() && decl.Doc == nil {
			t.Errorf("%s: %s is not documented", file, decl.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && decl.Doc == nil {
					t.Errorf("%s: %s is not documented", file, spec.Name.Name)
				}
				if face, ok := spec.Type.(*ast.InterfaceType); ok {
					for _, method := range face.Methods.List {
						if method.Doc == nil {
							t.Errorf("%s: %s.%s is not documented", file, spec.Name.Name, method.Names[0].Name)
						}
					}
				}
			case *ast.ValueSpec:
				if spec.Names[0].IsExported() && decl.Doc == nil && spec.Doc == nil {
					t.Errorf("%s: %s is not documented", file, spec.Names[0].Name)
				}
			}
		}
	}
}

func receiverName(decl *ast.FuncDecl) string {
	kind := decl.Recv.List[0].Type
	if pointer, ok := kind.(*ast.StarExpr); ok {
		kind = pointer.X
	}
	name, ok := kind.(*ast.Ident)
	if !ok {
		return ""
	}
	return name.Name
}
