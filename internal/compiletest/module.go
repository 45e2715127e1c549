package compiletest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const modulePath = "github.com/asyncpb/async"

// Checkout returns the folder of this module's source.
func Checkout(tb testing.TB) string {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", modulePath).Output()
	if err != nil {
		tb.Fatalf("find the checkout: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Module makes dir a Go module of the given path that uses this checkout, and the versions of everything else that the
// checkout uses. Nothing is downloaded.
func Module(tb testing.TB, dir, path string) {
	tb.Helper()
	checkout := Checkout(tb)
	mod, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	if err != nil {
		tb.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllLiteralString(string(mod), "module "+path)
	text += "\nrequire " + modulePath + " v0.0.0\n\nreplace " + modulePath + " => " + checkout + "\n"
	sum, err := os.ReadFile(filepath.Join(checkout, "go.sum"))
	if err != nil {
		tb.Fatal(err)
	}
	for name, content := range map[string][]byte{"go.mod": []byte(text), "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}

// Go runs the go command in dir and fails the test with its output if it fails.
func Go(tb testing.TB, dir string, args ...string) {
	tb.Helper()
	command := exec.Command("go", args...) //nolint:gosec // the arguments are those of tests
	command.Dir = dir
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := command.CombinedOutput(); err != nil {
		tb.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
