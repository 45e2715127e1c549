// Package render executes the code templates. It is the only place that knows text/template and imports.
package render

import (
	"fmt"
	"go/types"
	"strconv"
	"strings"
	"text/template"

	"google.golang.org/protobuf/compiler/protogen"

	"github.com/asyncpb/async/protoc-gen-async/internal/model"
	"github.com/asyncpb/async/templates"
)

// packages are what generated code imports besides messages, by the function of the templates that names them.
var packages = map[string]string{
	"async":   "github.com/asyncpb/async/runtime",
	"context": "context",
	"errors":  "errors",
	"iter":    "iter",
	"proto":   "google.golang.org/protobuf/proto",
	"time":    "time",
}

// locals are the names of parameters, receivers and types inside generated functions. No import may take one, or the
// name would mean something else there.
var locals = []string{"c", "ctx", "h", "m", "msg", "msgs", "opts", "p", "req", "rt", "s"}

// marker separates an import path from the name wanted for it, where both have to go through protogen as one path.
const marker = "\x00/"

// ImportPath undoes what this package does to import paths. It must be the ImportRewriteFunc of the options that made the
// plugin.
func ImportPath(p protogen.GoImportPath) protogen.GoImportPath {
	importPath, _, _ := strings.Cut(string(p), marker)
	return protogen.GoImportPath(importPath)
}

// File adds a generated file to the response of gen.
func File(gen *protogen.Plugin, file *model.File) error {
	r := &renderer{
		out:   gen.NewGeneratedFile(file.Name, protogen.GoImportPath(file.ImportPath)),
		file:  file,
		names: map[string]string{},
		taken: map[string]bool{},
	}
	for _, name := range append(types.Universe.Names(), locals...) {
		r.taken[name] = true
	}
	tmpl, err := template.New("").Funcs(r.funcs()).ParseFS(templates.Files, "*.go.tmpl")
	if err != nil {
		return fmt.Errorf("parse templates: %w", err)
	}
	if err := tmpl.ExecuteTemplate(r.out, "file.go.tmpl", file); err != nil {
		return fmt.Errorf("render %s: %w", file.Name, err)
	}
	return nil
}

type renderer struct {
	out   *protogen.GeneratedFile
	file  *model.File
	names map[string]string // names of imports, by import path
	taken map[string]bool
}

func (r *renderer) funcs() template.FuncMap {
	funcs := template.FuncMap{
		"ident": func(t model.Type) string { return r.qualify(t.ImportPath, t.Package, t.Name) },
	}
	for name, importPath := range packages {
		funcs[name] = func() string {
			qualifier, _, _ := strings.Cut(r.qualify(importPath, name, "_"), ".")
			return qualifier
		}
	}
	return funcs
}

// qualify returns the name to write for something of a package, and imports the package. Left alone, protogen names an
// import after the last element of its path; packages called v1 are better called what they call themselves.
func (r *renderer) qualify(importPath, packageName, name string) string {
	if importPath == r.file.ImportPath {
		return name
	}
	alias, ok := r.names[importPath]
	if !ok {
		alias = r.unused(packageName)
		r.names[importPath], r.taken[alias] = alias, true
	}
	ident := protogen.GoIdent{GoName: name, GoImportPath: protogen.GoImportPath(importPath + marker + alias)}
	return r.out.QualifiedGoIdent(ident)
}

func (r *renderer) unused(packageName string) string {
	alias := packageName
	for n := 1; r.taken[alias] || r.file.Declared[alias] != ""; n++ {
		alias = packageName + strconv.Itoa(n)
	}
	return alias
}
