package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// Module is the path of this module.
const Module = "github.com/asyncpb/async"

// Package is a node of a [Graph].
type Package struct {
	// ImportPath is its full path, and Name its package clause.
	ImportPath, Name string
	// Imports are the packages that its non-test files import.
	Imports []string
	// Standard tells a package of the standard library.
	Standard bool
}

// Graph is the packages of a build by import path.
type Graph map[string]*Package

// Load asks the go command for the packages of this module and everything that they import.
func Load(ctx context.Context) (Graph, error) {
	var stderr bytes.Buffer
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Name,Imports,Standard", Module+"/...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	g := make(Graph)
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(Package)
		switch err := decoder.Decode(p); {
		case errors.Is(err, io.EOF):
			return g, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		g[p.ImportPath] = p
	}
}

// own lists the packages of this module that have code outside of tests, by path within the module.
func (g Graph) own() []string {
	var paths []string
	for _, path := range slices.Sorted(maps.Keys(g)) {
		if p, ok := within(path); ok && len(g[path].Imports) > 0 {
			paths = append(paths, p)
		}
	}
	return paths
}

// reach walks breadth first from a package and returns for each one reached the one that it was reached from.
func (g Graph) reach(from string) map[string]string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		p := g[queue[0]]
		if p == nil {
			continue
		}
		for _, next := range p.Imports {
			if _, seen := came[next]; !seen {
				came[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return came
}

// chain tells how a package was reached: "a → b → c".
func chain(came map[string]string, to string) string {
	var steps []string
	for at := to; at != ""; at = came[at] {
		steps = append(steps, short(at))
	}
	slices.Reverse(steps)
	return strings.Join(steps, " → ")
}

// within returns the path of a package within this module.
func within(path string) (string, bool) {
	if path == Module {
		return ".", true
	}
	return strings.CutPrefix(path, Module+"/")
}

func short(path string) string {
	if p, ok := within(path); ok {
		return p
	}
	return path
}
