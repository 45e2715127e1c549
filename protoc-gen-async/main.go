// Protoc-gen-async is a plugin of buf and protoc. It generates typed publishers, clients, handlers and subscribers for the
// rpcs that are annotated with (async.v1.method).
//
// It is run by buf, with a buf.gen.yaml that says:
//
//	version: v2
//	plugins:
//	  - local: protoc-gen-async
//	    out: gen
//	    opt: paths=source_relative
//
// For acme/orders/v1/orders.proto it writes gen/acme/orders/v1/ordersv1async/orders.async.go, in a sub-package of the one
// that holds the messages. The parameters are those of protoc-gen-go (paths, module, M<file>) and
//
//	package_suffix=<suffix>   what the name of the sub-package adds to the package of the messages. Default: async.
//	                          Empty: no sub-package, the code stands beside the .pb.go file.
//
// Run by hand, it does two things:
//
//	protoc-gen-async --version      prints its version
//	protoc-gen-async init [dir]     writes the annotations and a configuration of buf into a repository
package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/asyncpb/async/internal/version"
	"github.com/asyncpb/async/protoc-gen-async/internal/generate"
	"github.com/asyncpb/async/protoc-gen-async/internal/scaffold"
)

const usage = `protoc-gen-async is a plugin: buf and protoc run it. By hand:

  protoc-gen-async --version     print the version
  protoc-gen-async init [dir]    write the annotations and a configuration of buf into a repository
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := dispatch(args, stdin, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "protoc-gen-async: %v\n", err)
		return 1
	}
	return 0
}

func dispatch(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	switch {
	case len(args) == 0:
		return generateCode(stdin, stdout, stderr)
	case len(args) == 1 && args[0] == "--version":
		_, err := fmt.Fprintln(stdout, "protoc-gen-async", buildVersion())
		return err
	case len(args) == 1 && (args[0] == "--help" || args[0] == "-h"):
		_, err := io.WriteString(stdout, usage)
		return err
	case len(args) <= 2 && args[0] == "init":
		dir := "."
		if len(args) == 2 {
			dir = args[1]
		}
		return scaffold.Write(dir, stdout)
	default:
		return fmt.Errorf("unknown arguments %q\n\n%s", args, usage)
	}
}

func generateCode(stdin io.Reader, stdout, stderr io.Writer) error {
	in, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	request := new(pluginpb.CodeGeneratorRequest)
	if err := proto.Unmarshal(in, request); err != nil {
		return fmt.Errorf("decode the request: %w; run protoc-gen-async through buf or protoc", err)
	}
	response, warnings := generate.Response(request)
	for _, warning := range warnings {
		fmt.Fprintln(stderr, warning)
	}
	out, err := proto.Marshal(response)
	if err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	_, err = stdout.Write(out)
	return err
}

// buildVersion is the version that the go command installed, or the one of the source.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v" + version.Version
}
