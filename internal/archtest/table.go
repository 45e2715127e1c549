package archtest

// Table is the rules of this module.
func Table() Rules { return Rules{Rooms: rooms, Bans: bans, Budgets: budgets} }

// everything that a user may import.
var library = []string{"runtime", "runtime/asyncotel", "runtime/asyncconnect", "runtime/asynctest", "runtime/transport/...", "gen/..."}

// Arrows point down only: a room imports from the rooms below it in this table.
var rooms = []Room{
	{Name: "an example", Paths: []string{"examples/..."}, May: append([]string{"examples/..."}, library...)},
	{Name: "a command", Paths: []string{"cmd/..."}, May: append([]string{"cmd/...", "internal/contract", "internal/version"}, library...)},

	{Name: "a bridge", Paths: []string{"runtime/asyncconnect/..."}, May: []string{"runtime", "runtime/transport", "internal/contract", "gen/..."}},
	{Name: "the tracing", Paths: []string{"runtime/asyncotel/..."}, May: []string{"runtime", "runtime/transport"}},
	{Name: "the promise's conformance", Paths: []string{"runtime/promisetest"}, May: []string{"runtime", "runtime/transport"}},
	{Name: "the users' test kit", Paths: []string{"runtime/asynctest/..."}, May: []string{"runtime", "runtime/transport", "runtime/transport/memorytransport"}},

	{Name: "the runtime's inside", Paths: []string{"runtime/internal/..."}, May: []string{"runtime/internal/...", "runtime/transport"}},
	{Name: "the transport interface", Paths: []string{"runtime/transport"}},
	{Name: "the conformance suite", Paths: []string{"runtime/transport/transporttest/..."}, May: []string{"runtime/transport"}},
	{Name: "a driver", Paths: []string{"runtime/transport/*/..."}, May: []string{"runtime/transport"}},
	{Name: "the runtime", Paths: []string{"runtime"}, May: []string{"runtime/internal/...", "runtime/transport", "runtime/transport/memorytransport"}},

	{
		Name: "the plugin", Paths: []string{"protoc-gen-async/..."},
		May: []string{"protoc-gen-async/internal/...", "internal/contract", "internal/version", "templates", "proto/...", "gen/..."},
	},
	{Name: "the contract", Paths: []string{"internal/contract/..."}, May: []string{"gen/..."}},

	{Name: "code generated for tests", Paths: []string{"internal/gen/..."}, May: []string{"internal/gen/...", "runtime", "gen/..."}},
	{Name: "the code of the annotations", Paths: []string{"gen/..."}},
	{Name: "the page of transports", Paths: []string{"internal/pagetest"}, May: []string{"runtime/transport", "runtime/promisetest"}},
	{Name: "a test kit of ours", Paths: []string{"internal/*test/..."}, May: []string{"internal/...", "proto/...", "gen/..."}},
	{Name: "the telemetry's conformance", Paths: []string{"internal/otelcheck/..."}, May: append([]string{"internal/gen/..."}, library...)},
	{Name: "a stranger to this project's code", Paths: []string{"test/acceptance/internal/..."}, May: []string{"internal/gen/..."}},
	{
		Name: "the fault harness", Paths: []string{"test/faults/..."},
		May: []string{"test/faults/...", "internal/gen/...", "runtime", "runtime/transport/..."},
	},
	{Name: "a leaf", Paths: []string{"templates", "proto/...", "internal/version"}},
}

var bans = []Ban{
	{Paths: []string{"runtime"}, Never: []string{
		"net/http", "crypto/tls", "testing",
		"connectrpc.com/...", "go.opentelemetry.io/otel/sdk/...",
		"github.com/rabbitmq/...", "github.com/ThreeDotsLabs/watermill-amqp/...", "github.com/ThreeDotsLabs/watermill/pubsub/gochannel",
		"./gen/...", "./internal/contract",
	}},
	{Paths: []string{"runtime/transport", "runtime/transport/memorytransport"}, Never: []string{"net/http", "crypto/tls"}},
	// The sampler is of the SDK's making; a program that uses it has the SDK.
	{Paths: []string{"runtime/asyncotel"}, Never: []string{"go.opentelemetry.io/otel/sdk/...", "connectrpc.com/..."}},
	{Paths: []string{"runtime/transport/..."}, Never: []string{"./runtime", "./internal/...", "./runtime/internal/..."}},
	{Paths: []string{"protoc-gen-async/...", "internal/contract/..."}, Never: []string{"./runtime/..."}},
	{Paths: []string{"templates", "gen/..."}, Never: []string{"./runtime/...", "./internal/...", "net/http"}},
}

var budgets = []Budget{{Path: "runtime", Most: 45}}
