package transport

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Config is what an [Opener] gets: a parsed URL and what the configuration says beside it.
type Config struct {
	// URL is the address without its secrets.
	URL URL
	// Username and Password come from the URL or from a credentials file.
	Username string
	Password Secret
	// TLS is nil when nothing was said; the scheme then decides.
	TLS *TLS
	// Insecure allows plain text to hosts other than loopback, and a TLS configuration in code that checks nobody or goes
	// below TLS 1.2.
	Insecure bool
	// Declare says who makes the topology; empty means [DeclareCreate].
	Declare Declare
	// Options are the driver's own options: the URL's query and the options of the configuration, which win. A
	// driver refuses the ones that it does not know (see [UnknownOptions]).
	Options map[string]string
	// App names the application in connections; Instance is unique for each runtime.
	App, Instance string
	// Logger is never nil.
	Logger *slog.Logger
}

// TLS is the files and names of a TLS connection. The driver reads them again for every connection, so that renewed ones are
// used without a restart.
type TLS struct {
	CAFile, CertFile, KeyFile, ServerName string
}

// Declare says who makes queues and exchanges.
type Declare string

// The declare modes.
const (
	// DeclareCreate makes what is missing. It is the default.
	DeclareCreate Declare = "create"
	// DeclareVerify makes nothing and fails when something is missing or differs.
	DeclareVerify Declare = "verify"
	// DeclareNone neither makes nor looks.
	DeclareNone Declare = "none"
)

// Opener opens a transport. ctx bounds the opening only.
type Opener func(ctx context.Context, c Config) (Transport, error)

// Registry maps URL schemes to drivers. The zero value is empty and ready to use. Its methods may be called from
// many goroutines at once.
type Registry struct {
	mu      sync.RWMutex
	openers map[string]Opener
}

// Register adds a scheme. It panics when the scheme is taken: it is called from init, where there is nobody to
// return an error to.
func (r *Registry) Register(scheme string, open Opener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.openers[scheme]; taken {
		panic(fmt.Sprintf("transport: scheme %q is registered twice", scheme))
	}
	if r.openers == nil {
		r.openers = make(map[string]Opener)
	}
	r.openers[scheme] = open
}

// Schemes lists the registered schemes in alphabetical order.
func (r *Registry) Schemes() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.openers))
}

// packages says which import brings a scheme that is not there.
var packages = map[string]string{
	"memory":    "memorytransport",
	"gochannel": "gochanneltransport",
	"amqp":      "amqptransport",
	"amqps":     "amqptransport",
}

// Open opens c with the driver of its scheme. An unknown scheme is an error that names the package to import.
func (r *Registry) Open(ctx context.Context, c Config) (Transport, error) {
	r.mu.RLock()
	open := r.openers[c.URL.Scheme]
	r.mu.RUnlock()
	if open == nil {
		hint := "known here: " + strings.Join(r.Schemes(), ", ")
		if p, ours := packages[c.URL.Scheme]; ours {
			hint = fmt.Sprintf("add import _ %q to the program", "github.com/asyncpb/async/runtime/transport/"+p)
		}
		return nil, fmt.Errorf("no transport is registered for the scheme %q; %s", c.URL.Scheme, hint)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Declare == "" {
		c.Declare = DeclareCreate
	}
	return open(ctx, c)
}

// Default is the registry that drivers add themselves to when they are imported.
var Default Registry

// Register adds a scheme to [Default].
func Register(scheme string, open Opener) { Default.Register(scheme, open) }

// UnknownOptions returns an error that names every option that is not known, and the known ones.
func UnknownOptions(options map[string]string, known ...string) error {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(known, name) {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	hint := "it has no options"
	if len(known) > 0 {
		hint = "known: " + strings.Join(known, ", ")
	}
	return fmt.Errorf("unknown transport option %s; %s", strings.Join(unknown, ", "), hint)
}
