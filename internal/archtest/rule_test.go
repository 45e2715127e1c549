package archtest_test

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/internal/archtest"
)

// graph makes a graph of lines "package: imports". A path that starts with "./" is of this module, one whose first
// element has no dot of the standard library.
func graph(lines ...string) archtest.Graph {
	full := func(p string) string {
		if rest, ours := strings.CutPrefix(p, "./"); ours {
			return archtest.Module + "/" + rest
		}
		return p
	}
	g := make(archtest.Graph)
	node := func(p string) *archtest.Package {
		p = full(p)
		if g[p] == nil {
			first, _, _ := strings.Cut(p, "/")
			g[p] = &archtest.Package{ImportPath: p, Name: path.Base(p), Standard: !strings.Contains(first, ".")}
		}
		return g[p]
	}
	for _, line := range lines {
		from, imports, _ := strings.Cut(line, ": ")
		for to := range strings.FieldsSeq(imports) {
			node(from).Imports = append(node(from).Imports, node(to).ImportPath)
		}
	}
	return g
}

const (
	below    = ": a driver may import of this module only runtime/transport"
	ofPlugin = ": the plugin may import of this module only protoc-gen-async/internal/..., internal/contract, internal/version, templates, proto/..., gen/..."
)

func TestTableFindsViolations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{
			name: "what points down is allowed",
			lines: []string{
				"./examples/orders: ./examples/orders/gen/ordersasync ./runtime ./runtime/asyncotel ./runtime/transport/amqptransport fmt",
				"./examples/orders/gen/ordersasync: ./runtime ./gen/async/v1",
				"./cmd/async: ./runtime ./runtime/transport/amqptransport ./internal/contract",
				"./runtime/asyncconnect: ./runtime ./internal/contract connectrpc.com/connect/v2 net/http",
				"./runtime/asyncotel: ./runtime go.opentelemetry.io/otel",
				"./runtime/asynctest: ./runtime ./runtime/transport/memorytransport testing",
				"./runtime: ./runtime/internal/config ./runtime/transport ./runtime/transport/memorytransport",
				"./runtime/internal/config: ./runtime/transport",
				"./runtime/transport: example.com/message",
				"./runtime/transport/transporttest: ./runtime/transport testing",
				"./runtime/transport/memorytransport: ./runtime/transport",
				"./runtime/transport/amqptransport: ./runtime/transport ./runtime/transport/amqptransport/wire github.com/rabbitmq/amqp091-go crypto/tls",
				"./protoc-gen-async: ./protoc-gen-async/internal/model",
				"./protoc-gen-async/internal/model: ./internal/contract ./templates",
				"./internal/contract: ./gen/async/v1",
			},
		},
		{
			name:  "a driver imports the runtime",
			lines: []string{"./runtime/transport/amqptransport: ./runtime"},
			want: []string{
				"runtime/transport/amqptransport imports runtime" + below,
				"runtime/transport/amqptransport must not depend on runtime: runtime/transport/amqptransport → runtime",
			},
		},
		{
			name:  "a driver imports another driver",
			lines: []string{"./runtime/transport/amqptransport: ./runtime/transport/memorytransport"},
			want:  []string{"runtime/transport/amqptransport imports runtime/transport/memorytransport" + below},
		},
		{
			name:  "a driver imports what is internal",
			lines: []string{"./runtime/transport/amqptransport: ./internal/version ./runtime/internal/config"},
			want: []string{
				"runtime/transport/amqptransport imports internal/version" + below,
				"runtime/transport/amqptransport imports runtime/internal/config" + below,
				"runtime/transport/amqptransport must not depend on internal/version: runtime/transport/amqptransport → internal/version",
				"runtime/transport/amqptransport must not depend on runtime/internal/config: runtime/transport/amqptransport → runtime/internal/config",
			},
		},
		{
			name:  "the transport interface imports a driver",
			lines: []string{"./runtime/transport: ./runtime/transport/memorytransport"},
			want:  []string{"runtime/transport imports runtime/transport/memorytransport: the transport interface may import of this module nothing"},
		},
		{
			name:  "the runtime imports a driver that is not memory",
			lines: []string{"./runtime: ./runtime/transport/gochanneltransport"},
			want: []string{
				"runtime imports runtime/transport/gochanneltransport: the runtime may import of this module only runtime/internal/..., runtime/transport, runtime/transport/memorytransport",
			},
		},
		{
			name:  "a library brings the HTTP stack into the runtime",
			lines: []string{"./runtime: ./runtime/transport", "./runtime/transport: example.com/metrics", "example.com/metrics: net/http", "net/http: crypto/tls"},
			want: []string{
				"runtime must not depend on crypto/tls: runtime → runtime/transport → example.com/metrics → net/http → crypto/tls",
				"runtime must not depend on net/http: runtime → runtime/transport → example.com/metrics → net/http",
				"runtime/transport must not depend on crypto/tls: runtime/transport → example.com/metrics → net/http → crypto/tls",
				"runtime/transport must not depend on net/http: runtime/transport → example.com/metrics → net/http",
			},
		},
		{
			name:  "the runtime imports the OpenTelemetry SDK, connect and a broker's client",
			lines: []string{"./runtime: go.opentelemetry.io/otel/sdk/trace connectrpc.com/connect/v2 github.com/rabbitmq/amqp091-go"},
			want: []string{
				"runtime must not depend on connectrpc.com/connect/v2: runtime → connectrpc.com/connect/v2",
				"runtime must not depend on github.com/rabbitmq/amqp091-go: runtime → github.com/rabbitmq/amqp091-go",
				"runtime must not depend on go.opentelemetry.io/otel/sdk/trace: runtime → go.opentelemetry.io/otel/sdk/trace",
			},
		},
		{
			name:  "the runtime imports its bridge",
			lines: []string{"./runtime: ./runtime/asyncconnect"},
			want: []string{
				"runtime imports runtime/asyncconnect: the runtime may import of this module only runtime/internal/..., runtime/transport, runtime/transport/memorytransport",
			},
		},
		{
			name:  "one integration imports another",
			lines: []string{"./runtime/asyncotel: ./runtime/asyncconnect"},
			want:  []string{"runtime/asyncotel imports runtime/asyncconnect: the tracing may import of this module only runtime, runtime/transport"},
		},
		{
			name:  "the plugin imports the runtime",
			lines: []string{"./protoc-gen-async: ./runtime"},
			want: []string{
				"protoc-gen-async imports runtime" + ofPlugin,
				"protoc-gen-async must not depend on runtime: protoc-gen-async → runtime",
			},
		},
		{
			name:  "the contract imports the runtime",
			lines: []string{"./internal/contract: ./runtime"},
			want: []string{
				"internal/contract imports runtime: the contract may import of this module only gen/...",
				"internal/contract must not depend on runtime: internal/contract → runtime",
			},
		},
		{
			name:  "the library imports the contract",
			lines: []string{"./runtime: ./internal/contract"},
			want: []string{
				"runtime imports internal/contract: the runtime may import of this module only runtime/internal/..., runtime/transport, runtime/transport/memorytransport",
				"runtime must not depend on internal/contract: runtime → internal/contract",
			},
		},
		{
			name:  "the templates import anything of this module",
			lines: []string{"./templates: ./gen/async/v1"},
			want:  []string{"templates imports gen/async/v1: a leaf may import of this module nothing"},
		},
		{
			name:  "an example imports what is internal",
			lines: []string{"./examples/orders: ./internal/contract"},
			want: []string{
				"examples/orders imports internal/contract: an example may import of this module only examples/..., runtime, runtime/asyncotel, runtime/asyncconnect, runtime/asynctest, runtime/transport/..., gen/...",
			},
		},
		{
			name:  "a program imports testing",
			lines: []string{"./cmd/async: testing"},
			want:  []string{"cmd/async imports testing: only a package whose name ends in test may"},
		},
		{
			name:  "a package stands where no room is",
			lines: []string{"./runtime/dedup: fmt", "./util: fmt"},
			want: []string{
				"runtime/dedup belongs to no room: add it to the table of rooms",
				"util belongs to no room: add it to the table of rooms",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, archtest.Table().Check(graph(tt.lines...))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBudgetCountsPackagesOfOtherModules(t *testing.T) {
	t.Parallel()
	imports := "./runtime: fmt ./runtime/transport"
	for i := range 45 {
		imports += fmt.Sprintf(" example.com/p%02d", i)
	}
	if got := archtest.Table().Check(graph(imports, "./runtime/transport: strings")); len(got) > 0 {
		t.Errorf("45 packages are within the budget, got %q", got)
	}
	got := archtest.Table().Check(graph(imports, "./runtime/transport: strings example.com/last"))
	if len(got) != 1 || !strings.HasPrefix(got[0], "runtime brings 46 packages of other modules, and may bring 45: example.com/last, example.com/p00, ") {
		t.Errorf("46 packages are one too many, got %q", got)
	}
}
