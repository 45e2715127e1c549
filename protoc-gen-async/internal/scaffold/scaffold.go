// Package scaffold writes what a repository needs to generate code: the annotations and a configuration of buf.
package scaffold

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/asyncpb/async/proto"
)

//go:embed buf.yaml
var bufYAML []byte

//go:embed buf.gen.yaml
var bufGenYAML []byte

type file struct {
	name    string
	content []byte
	advice  string // what to do when the file is there and differs
}

func files() []file {
	return []file{
		{"proto/async/v1/annotations.proto", proto.Annotations, "remove it to have the annotations of this version written"},
		{"buf.yaml", bufYAML, "keep it and add proto to its modules, or move it away"},
		{"buf.gen.yaml", bufGenYAML, "keep it and add the plugin protoc-gen-async to it, or move it away"},
	}
}

const next = `
Next:
  1. Write a service in proto/, with import "async/v1/annotations.proto" and a go_package below gen/:
       option go_package = "<your module>/gen/acme/orders/v1;ordersv1";
     and annotate an rpc:
       rpc Placed(OrderPlaced) returns (google.protobuf.Empty) {
         option (async.v1.method) = {event: {}};
       }
  2. Run: buf generate
  3. Run: go get github.com/asyncpb/async && go mod tidy
`

// Write writes the files into dir, which it creates if need be, and tells out what it wrote and what to do next. A file
// that is there already with the same content is left alone. If any differs, nothing is written and the error names each
// with a way out.
func Write(dir string, out io.Writer) error {
	var (
		missing   []file
		conflicts []error
	)
	for _, f := range files() {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		switch have, err := os.ReadFile(path); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, f)
		case err != nil:
			conflicts = append(conflicts, fmt.Errorf("%s cannot be read: %w", path, err))
		case !bytes.Equal(have, f.content):
			conflicts = append(conflicts, fmt.Errorf("%s exists and differs from what init would write; %s", path, f.advice))
		}
	}
	if len(conflicts) > 0 {
		return fmt.Errorf("init wrote nothing:\n%w", errors.Join(conflicts...))
	}
	var said strings.Builder
	for _, f := range missing {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.content, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&said, "wrote %s\n", path)
	}
	if len(missing) == 0 {
		fmt.Fprintf(&said, "%s has everything already\n", dir)
	}
	said.WriteString(next)
	_, err := io.WriteString(out, said.String())
	return err
}
