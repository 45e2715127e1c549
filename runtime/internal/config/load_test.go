package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/internal/config"
	"github.com/asyncpb/async/runtime/transport"
)

const full = `version: 1
app: billing
namespace: dev
transport: ${ASYNC_TRANSPORT:-memory://}
require: durable
transports:
  main: {url: "amqp://user:${PASSWORD:-}@rabbit:5672/shop?heartbeat=5s&queue_type=classic", declare: verify, insecure: true, options: {queue_type: quorum, retries: 3}}
  safe:
    url: amqps://rabbit/shop
    credentials_file: /run/secrets/amqp
    tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem, server_name: rabbit.internal}
  fast: {url: "nats://nats:4222"}
defaults: {concurrency: 16, retry: {max_attempts: 8, min_backoff: 1s}, max_message_bytes: 1MiB, send_timeout: 30s}
bindings:
  acme.orders.v1.Orders: {transport: main, concurrency: 64, ttl: 7d, codec: protojson, dead_letter: {topic: orders.failed}}
  acme.orders.v1.Orders/Quote: {transport: fast, timeout: 2s, dead_letter: {disabled: true}}
  acme.orders.v1.Orders/Ship:
    transport: http
    retry: {immediate: 0, max_backoff: 5m, multiplier: 1.5, jitter: 0.2}
shutdown: {drain_timeout: 1m30s}
`

func TestLoadReadsEveryKey(t *testing.T) {
	t.Parallel()
	c := load(t, full, map[string]string{"PASSWORD": "s3cret"})

	main := c.Transports["main"]
	if got, want := main.URL.String(), "amqp://rabbit:5672/shop"; got != want {
		t.Errorf("URL of main: got %q, want %q", got, want)
	}
	if main.Username != "user" || main.Password.Reveal() != "s3cret" {
		t.Errorf("credentials of main: got %q and %q", main.Username, main.Password.Reveal())
	}
	if main.Declare != transport.DeclareVerify || !main.Insecure {
		t.Errorf("main: got declare %q, insecure %v", main.Declare, main.Insecure)
	}
	if diff := cmp.Diff(map[string]string{"heartbeat": "5s", "queue_type": "quorum", "retries": "3"}, main.Options); diff != "" {
		t.Errorf("options of main: the file wins over the URL (-want +got):\n%s", diff)
	}
	safe := c.Transports["safe"]
	if safe.CredentialsFile != "/run/secrets/amqp" {
		t.Errorf("credentials file of safe: got %q", safe.CredentialsFile)
	}
	if diff := cmp.Diff(&transport.TLS{CAFile: "ca.pem", CertFile: "cert.pem", KeyFile: "key.pem", ServerName: "rabbit.internal"}, safe.TLS); diff != "" {
		t.Errorf("TLS of safe (-want +got):\n%s", diff)
	}
	if c.Transport.Name != "" || c.Transport.URL.Scheme != "memory" {
		t.Errorf("transport: got %q with scheme %q, want the URL memory://", c.Transport.Name, c.Transport.URL.Scheme)
	}
	if c.App != "billing" || c.Namespace != "dev" || c.Require != "durable" {
		t.Errorf("got app %q, namespace %q, require %q", c.App, c.Namespace, c.Require)
	}
	if diff := cmp.Diff(new(90*time.Second), c.DrainTimeout); diff != "" {
		t.Errorf("drain_timeout (-want +got):\n%s", diff)
	}
	wantDefaults := config.Settings{
		Concurrency:     new(16),
		MaxMessageBytes: new(int64(1 << 20)),
		SendTimeout:     new(30 * time.Second),
		Retry:           config.Retry{MaxAttempts: new(uint32(8)), MinBackoff: new(time.Second)},
	}
	if diff := cmp.Diff(wantDefaults, c.Defaults); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	wantBindings := []config.Binding{
		{
			Name: "acme.orders.v1.Orders",
			Pos:  config.Position{File: "async.yaml", Line: 15, Column: 3},
			Settings: config.Settings{
				Transport: new("main"), Concurrency: new(64), TTL: new(7 * 24 * time.Hour), Codec: new("protojson"),
				DeadLetter: config.DeadLetter{Topic: new("orders.failed")},
			},
		},
		{
			Name: "acme.orders.v1.Orders/Quote",
			Pos:  config.Position{File: "async.yaml", Line: 16, Column: 3},
			Settings: config.Settings{
				Transport: new("fast"), Timeout: new(2 * time.Second),
				DeadLetter: config.DeadLetter{Disabled: new(true)},
			},
		},
		{
			Name: "acme.orders.v1.Orders/Ship",
			Pos:  config.Position{File: "async.yaml", Line: 17, Column: 3},
			Settings: config.Settings{
				Transport: new(config.HTTP),
				Retry: config.Retry{
					Immediate: new(uint32(0)), MaxBackoff: new(5 * time.Minute), Multiplier: new(1.5), Jitter: new(0.2),
				},
			},
		},
	}
	if diff := cmp.Diff(wantBindings, c.Bindings); diff != "" {
		t.Errorf("bindings (-want +got):\n%s", diff)
	}
}

func TestFindPutsTheRPCOverItsService(t *testing.T) {
	t.Parallel()
	c := load(t, full, nil)
	tests := []struct {
		name, service, rpc string
		want               config.Settings
	}{
		{
			name: "an rpc with a binding of its own overrides by presence", service: "acme.orders.v1.Orders", rpc: "Quote",
			want: config.Settings{
				Transport: new("fast"), Concurrency: new(64), TTL: new(7 * 24 * time.Hour), Codec: new("protojson"), Timeout: new(2 * time.Second),
				DeadLetter: config.DeadLetter{Disabled: new(true), Topic: new("orders.failed")},
			},
		},
		{
			name: "an rpc without one has its service's", service: "acme.orders.v1.Orders", rpc: "Cancel",
			want: config.Settings{
				Transport: new("main"), Concurrency: new(64), TTL: new(7 * 24 * time.Hour), Codec: new("protojson"),
				DeadLetter: config.DeadLetter{Topic: new("orders.failed")},
			},
		},
		{name: "a service that the file does not name has none", service: "acme.orders.v1.Order", rpc: "Quote"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, c.Find(tt.service, tt.rpc)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeOverridesByPresence(t *testing.T) {
	t.Parallel()
	under := config.Settings{
		Transport: new("a"), Concurrency: new(1), Timeout: new(time.Second), Codec: new("protobuf"),
		MaxMessageBytes: new(int64(1)), CompressAbove: new(int64(1)), SendTimeout: new(time.Second), TTL: new(time.Second),
		Retry: config.Retry{
			Immediate: new(uint32(1)), MaxAttempts: new(uint32(1)), MinBackoff: new(time.Second), MaxBackoff: new(time.Second),
			Multiplier: new(1.0), Jitter: new(1.0),
		},
		DeadLetter: config.DeadLetter{Disabled: new(true), Topic: new("a")},
	}
	over := config.Settings{
		Transport: new("b"), Concurrency: new(2), Timeout: new(time.Minute), Codec: new("protojson"),
		MaxMessageBytes: new(int64(2)), CompressAbove: new(int64(0)), SendTimeout: new(time.Minute), TTL: new(time.Duration(0)),
		Retry: config.Retry{
			Immediate: new(uint32(0)), MaxAttempts: new(uint32(2)), MinBackoff: new(time.Minute), MaxBackoff: new(time.Minute),
			Multiplier: new(2.0), Jitter: new(0.0),
		},
		DeadLetter: config.DeadLetter{Disabled: new(false), Topic: new("b")},
	}
	if diff := cmp.Diff(over, under.Merge(over)); diff != "" {
		t.Errorf("everything given, zeros too, wins (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(under, under.Merge(config.Settings{})); diff != "" {
		t.Errorf("nothing given changes nothing (-want +got):\n%s", diff)
	}
}

func TestTransportChoosesTheCarrier(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, wantName, wantScheme string
	}{
		{"a URL", "version: 1\ntransport: gochannel://\n", "", "gochannel"},
		{"a name", "version: 1\ntransport: b\ntransports: {a: {url: \"memory://\"}, b: {url: \"nats://n\"}}\n", "b", "nats"},
		{"the only one under transports", "version: 1\ntransports: {a: {url: \"memory://\"}}\n", "a", "memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := load(t, tt.file, nil)
			if c.Transport == nil || c.Transport.Name != tt.wantName || c.Transport.URL.Scheme != tt.wantScheme {
				t.Errorf("got %+v, want %q with scheme %q", c.Transport, tt.wantName, tt.wantScheme)
			}
		})
	}
	if c := load(t, "version: 1\n", nil); c.Transport != nil {
		t.Errorf("a file that names none: got %+v, want nil", c.Transport)
	}
}

func TestLookupFindsWhatTheEnvironmentNames(t *testing.T) {
	t.Parallel()
	c := load(t, full, nil)
	if got, err := c.Lookup("main"); err != nil || got != c.Transports["main"] {
		t.Errorf("a name: got %v, %v", got, err)
	}
	if got, err := c.Lookup("gochannel://"); err != nil || got.URL.Scheme != "gochannel" {
		t.Errorf("a URL: got %v, %v", got, err)
	}
	if _, err := c.Lookup("mian"); err == nil || err.Error() != "no transport has this name; did you mean main?" {
		t.Errorf("an unknown name: got %v", err)
	}
}

func TestPositionIsThatOfTheNearestPart(t *testing.T) {
	t.Parallel()
	c := load(t, full, nil)
	tests := []struct {
		name string
		path []string
		want string
	}{
		{"a value", []string{"bindings", "acme.orders.v1.Orders/Ship", "retry", "jitter"}, "async.yaml:19:69"},
		{"a key that is not there", []string{"bindings", "acme.orders.v1.Orders/Ship", "timeout"}, "async.yaml:18:5"},
		{"a section that is not there", []string{"bindings", "other.Service"}, "async.yaml:15:3"},
		{"nothing", nil, "async.yaml:1:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := c.Position(tt.path...).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestVariablesAreReplaced(t *testing.T) {
	t.Parallel()
	env := map[string]string{"APP": "billing", "EMPTY": "", "N": "4", "HOST": "rabbit"}
	tests := []struct {
		name, file string
		got        func(*config.Config) any
		want       any
	}{
		{"a variable", "app: ${APP}", func(c *config.Config) any { return c.App }, "billing"},
		{"a default for one that is unset", "app: ${NONE:-orders}", func(c *config.Config) any { return c.App }, "orders"},
		{"a default for one that is empty", "app: ${EMPTY:-orders}", func(c *config.Config) any { return c.App }, "orders"},
		{"no default for one that is set", "app: ${APP:-orders}", func(c *config.Config) any { return c.App }, "billing"},
		{"two in one value", "app: ${APP}.${N}", func(c *config.Config) any { return c.App }, "billing.4"},
		{"within text", "transport: amqp://${HOST}:5672/shop", func(c *config.Config) any { return c.Transport.URL.String() }, "amqp://rabbit:5672/shop"},
		{"a number", "defaults: {concurrency: \"${N}\"}", func(c *config.Config) any { return *c.Defaults.Concurrency }, 4},
		{"a dollar that stands for itself", "transports: {m: {url: \"memory://\", options: {a: \"$${APP}$5\"}}}", func(c *config.Config) any { return c.Transports["m"].Options["a"] }, "${APP}$5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.got(load(t, "version: 1\n"+tt.file+"\n", env))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func load(t *testing.T, file string, env map[string]string) *config.Config {
	t.Helper()
	c, err := config.Load("async.yaml", []byte(file), lookup(env))
	if err != nil {
		t.Fatalf("Load:\n%v", err)
	}
	return c
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}
