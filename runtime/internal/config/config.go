package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// HTTP is the name of the transport that belongs to the Connect bridge. Only bindings may use it.
const HTTP = "http"

// Config is a configuration file. Nothing is filled in: what the file does not say is empty or nil. A Config is not
// changed after [Load], so any number of goroutines may read it.
type Config struct {
	// App is the group of this process's event subscriptions and the source of what it sends.
	App string
	// Namespace prefixes every physical name.
	Namespace string
	// Transport carries what no binding gives to another one; nil when the file names none.
	Transport *Transport
	// Require is "durable" when volatile transports are refused.
	Require string
	// Telemetry is the name of what observes the runtime, "" for nothing.
	Telemetry string
	// Transports are the transports that have a name.
	Transports map[string]*Transport
	// Defaults are the settings of every rpc, below its annotations.
	Defaults Settings
	// Bindings are the settings of services and rpcs, in the order of the file.
	Bindings []Binding
	// DrainTimeout bounds the drain at shutdown.
	DrainTimeout *time.Duration

	file      string
	positions map[string]Position
	places    map[string]int // of names in Bindings
}

// Transport is one transport of a configuration.
type Transport struct {
	// Name is its key under transports; empty for a URL that stands by itself.
	Name string
	// Config is what its driver is opened with, apart from App, Instance and Logger. Its Options hold the query of the
	// URL and the options of the file, which win.
	transport.Config
	// CredentialsFile holds user and password; empty when the URL has what is needed.
	CredentialsFile string
	// Pos is where it stands in the file.
	Pos Position
}

// Binding is the settings of one service or one rpc.
type Binding struct {
	// Name is "<package>.<Service>" or "<package>.<Service>/<Rpc>".
	Name string
	Settings
	// Pos is where the name stands in the file.
	Pos Position
}

// Service returns the full name of the service, and the name of the rpc, empty for a binding of the whole service.
func (b Binding) Service() (service, rpc string) {
	service, rpc, _ = strings.Cut(b.Name, "/")
	return service, rpc
}

// Find returns what the bindings say about an rpc: its own binding over its service's. The defaults are not in it,
// since annotations stand between them and the bindings.
func (c *Config) Find(service, rpc string) Settings {
	return c.settings(service).Merge(c.settings(service + "/" + rpc))
}

// settings are those of the binding with this name.
func (c *Config) settings(name string) Settings {
	if i, bound := c.places[name]; bound {
		return c.Bindings[i].Settings
	}
	return Settings{}
}

// Lookup returns the transport that text stands for: the name of one under transports, or a URL.
func (c *Config) Lookup(text string) (*Transport, error) {
	if strings.Contains(text, "://") {
		parsed, err := transport.ParseURL(text)
		if err != nil {
			return nil, err
		}
		return &Transport{Config: parsed}, nil
	}
	if t := c.Transports[text]; t != nil {
		return t, nil
	}
	what, instead := unknownTransport(text, c.Transports)
	return nil, fmt.Errorf("%s; %s", what, instead)
}

// Position returns where a value stands: Position("bindings", "acme.Orders/Quote", "timeout"). For a value that the
// file does not hold it is that of the nearest part around it.
func (c *Config) Position(path ...string) Position {
	for n := len(path); n > 0; n-- {
		if pos, ok := c.positions[pathKey(path[:n])]; ok {
			return pos
		}
	}
	return Position{File: c.file, Line: 1, Column: 1}
}

// Carrier returns where the file says which transport carries an rpc: in its own binding, in that of its service, or at
// the top. It returns false when the file does not say.
func (c *Config) Carrier(service, rpc string) (Position, bool) {
	for _, path := range [][]string{
		{"bindings", service + "/" + rpc, "transport"},
		{"bindings", service, "transport"},
		{"transport"},
	} {
		if pos, ok := c.positions[pathKey(path)]; ok {
			return pos, true
		}
	}
	return Position{}, false
}

func pathKey(path []string) string { return strings.Join(path, "\x00") }
