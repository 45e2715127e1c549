package config_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/asyncpb/async/runtime/internal/config"
)

var refusals = []struct {
	name, file string
	want       []string
}{
	// The file as a whole.
	{"an empty file", "", []string{
		`1:1: the file is empty; start it with version: 1`,
	}},
	{"a file of comments", "# nothing\n", []string{
		`1:1: the file is empty; start it with version: 1`,
	}},
	{"an empty document", "---\n", []string{
		`2:1: the file is empty; start it with version: 1`,
	}},
	{"a list", "- a\n", []string{
		`1:1: the file is a list; start it with version: 1`,
	}},
	{"no version", "app: a\n", []string{
		`1:1: version is missing; write version: 1`,
	}},
	{"a version of the future hides its unknown keys", "novelty: 1\nversion: 2\n", []string{
		`2:10: this version of the file is not known; write version: 1`,
	}},
	{"a version in quotes", "version: \"1\"\n", []string{
		`1:10: this version of the file is not known; write version: 1`,
	}},
	{"two documents", "version: 1\n---\nversion: 1\n", []string{
		`2:1: a second document starts here; write one document a file`,
	}},
	{"what is not YAML", "version: 1\napp: [\n", []string{
		`3:1: this is not YAML: did not find expected node content; mind the indentation, and put text with special characters in quotes`,
	}},
	{"a value that opens a mapping", "version: 1\n\napp: a: b\n", []string{
		`3:1: this is not YAML: mapping values are not allowed in this context; mind the indentation, and put text with special characters in quotes`,
	}},
	{"a tab for indentation", "version: 1\ndefaults:\n\tcodec: protojson\n", []string{
		`3:1: this is not YAML: found character that cannot start any token; mind the indentation, and put text with special characters in quotes`,
	}},
	{"a variable that looks like a mapping", "version: 1\ndefaults: {codec: ${CODEC}}\n", []string{
		`2:1: this is not YAML: did not find expected ',' or '}'; mind the indentation, and put ${…} within { } or [ ] in quotes`,
	}},
	{"what is not UTF-8", "version: 1\napp: \xff\n", []string{
		`2:6: the text is not UTF-8; save the file as UTF-8`,
	}},
	{"a file over 1 MiB", "version: 1\n" + strings.Repeat("# padding\n", 110_000), []string{
		`1:1: the file is larger than 1 MiB; a configuration is a few kilobytes; is this the right file?`,
	}},

	// What YAML can do and a configuration need not.
	{"an anchor", "version: 1\napp: &a billing\n", []string{
		`2:6: anchors are not supported; write the value out where it is needed`,
	}},
	{"an anchor and its alias", "version: 1\ndefaults: &d {codec: protojson}\nbindings:\n  a.B: *d\n", []string{
		`2:11: anchors are not supported; write the value out where it is needed`,
		`4:8: aliases are not supported; write the value out`,
	}},
	{"an alias bomb", "version: 1\napp: &a [x, x]\nnamespace: &b [*a, *a]\nrequire: &c [*b, *b]\n", []string{
		`2:6: anchors are not supported; write the value out where it is needed`,
		`3:12: anchors are not supported; write the value out where it is needed`,
		`4:10: anchors are not supported; write the value out where it is needed`,
	}},
	{"a merge key", "version: 1\nbindings:\n  a.B: {<<: {codec: protojson}}\n", []string{
		`3:9: unknown key "<<" in binding "a.B"; known here: codec, compress_above, concurrency, dead_letter, max_message_bytes, retry, send_timeout, timeout, transport, ttl`,
	}},
	{"a tag", "version: 1\napp: !!str 5\n", []string{
		`2:6: tags are not supported; write the value without its tag`,
	}},
	{"a key that is a list", "version: 1\n? [a, b]\n: c\n", []string{
		`2:3: a key of the file is a list; write a word`,
	}},

	// Keys.
	{"an unknown key with a slip", "version: 1\nnamspace: dev\n", []string{
		`2:1: unknown key "namspace" in the file; did you mean namespace?`,
	}},
	{"an unknown key without a likeness", "version: 1\nshutdown: {colour: red}\n", []string{
		`2:12: unknown key "colour" in shutdown; known here: drain_timeout`,
	}},
	{"an unknown key in defaults", "version: 1\ndefaults: {concurency: 1}\n", []string{
		`2:12: unknown key "concurency" in defaults; did you mean concurrency?`,
	}},
	{"an unknown key deep down", "version: 1\nbindings:\n  a.B:\n    retry: {max_attempt: 1}\n", []string{
		`4:13: unknown key "max_attempt" in retry; did you mean max_attempts?`,
	}},
	{"a key in the wrong case", "version: 1\ndefaults: {Timeout: 1s}\n", []string{
		`2:12: unknown key "Timeout" in defaults; did you mean timeout?`,
	}},
	{"a duplicate key", "version: 1\napp: a\napp: b\n", []string{
		`3:1: the key "app" stands here a second time, after line 2; keep one of them`,
	}},
	{"a binding that stands twice", "version: 1\nbindings:\n  a.B: {codec: protojson}\n  a.B: {codec: protobuf}\n", []string{
		`4:3: the key "a.B" stands here a second time, after line 3; keep one of them`,
	}},

	// Kinds of values.
	{"a value that is missing", "version: 1\napp:\n", []string{
		`2:5: app has no value; write one, or remove the key`,
	}},
	{"a section without keys", "version: 1\ndefaults:\n", []string{
		`2:10: defaults is empty; write keys with values`,
	}},
	{"a list for a value", "version: 1\napp: [a]\n", []string{
		`2:6: app is a list; write a single value`,
	}},
	{"a mapping for a value", "version: 1\napp: {a: b}\n", []string{
		`2:6: app is a mapping; write a single value`,
	}},
	{"a value for a mapping", "version: 1\ndefaults: 5\nbindings: true\nshutdown: 30s\n", []string{
		`2:11: defaults is a number; write keys with values`,
		`3:11: bindings is a boolean; write keys with values`,
		`4:11: shutdown is a string; write keys with values`,
	}},
	{"a number for a string", "version: 1\napp: 5\n", []string{
		`2:6: app is a number; write a string; quotes make it one`,
	}},
	{"a boolean for a string", "version: 1\nnamespace: true\n", []string{
		`2:12: namespace is a boolean; write a string; quotes make it one`,
	}},
	{"a string for a number", "version: 1\ndefaults: {concurrency: \"16\"}\n", []string{
		`2:25: concurrency is a string; write the value without quotes`,
	}},
	{"a word for a number", "version: 1\ndefaults: {concurrency: many}\n", []string{
		`2:25: concurrency "many" is not a whole number; write a whole number from 1 to 65535`,
	}},
	{"a fraction for a whole number", "version: 1\ndefaults: {concurrency: 1.5}\n", []string{
		`2:25: concurrency "1.5" is not a whole number; write a whole number from 1 to 65535`,
	}},
	{"a word for a boolean", "version: 1\ndefaults: {dead_letter: {disabled: yes}}\n", []string{
		`2:36: disabled "yes" is not a boolean; write true or false`,
	}},

	// Names.
	{"an app that is not portable", "version: 1\napp: billing service\n", []string{
		`2:6: app "billing service" is not portable across brokers; write up to 80 letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`,
	}},
	{"an app with the separator of queues", "version: 1\napp: a--b\n", []string{
		`2:6: app "a--b" is not portable across brokers; write up to 80 letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`,
	}},
	{"an app that is too long", "version: 1\napp: " + strings.Repeat("a", 81) + "\n", []string{
		`2:6: app is too long; write up to 80 letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`,
	}},
	{"an app that is empty", "version: 1\napp: \"\"\n", []string{
		`2:6: app "" is empty; write up to 80 letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`,
	}},
	{"a namespace with an empty word", "version: 1\nnamespace: dev..eu\n", []string{
		`2:12: namespace "dev..eu" is not portable across brokers; write up to 128 letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`,
	}},
	{"an unknown requirement", "version: 1\nrequire: fast\n", []string{
		`2:10: require "fast" is not known; write durable, or remove the key`,
	}},
	{"an unknown codec", "version: 1\ndefaults: {codec: json}\n", []string{
		`2:19: codec "json" is not known; write one of protobuf, protojson`,
	}},
	{"a dead-letter topic that is not portable", "version: 1\ndefaults: {dead_letter: {topic: a/b}}\n", []string{
		`2:33: topic "a/b" is not portable across brokers; write up to 128 letters, digits, ".", "_" and "-", with no "." or "-" at an end or twice in a row`,
	}},

	// Durations and sizes.
	{"a duration without a unit", "version: 1\ndefaults: {timeout: 30}\n", []string{
		`2:21: timeout "30" is a duration without a unit; write a number with a unit, such as 500ms, 30s, 5m, 2h or 7d`,
	}},
	{"what is no duration", "version: 1\ndefaults: {timeout: soon}\n", []string{
		`2:21: timeout "soon" is not a duration; write a number with a unit, such as 500ms, 30s, 5m, 2h or 7d`,
	}},
	{"days in parts", "version: 1\ndefaults: {ttl: 1.5d}\n", []string{
		`2:17: ttl "1.5d" is not a duration; write a number with a unit, such as 500ms, 30s, 5m, 2h or 7d`,
	}},
	{"more days than a duration holds", "version: 1\ndefaults: {ttl: 106752d}\n", []string{
		`2:17: ttl "106752d" is too long; write at most 106751d`,
	}},
	{"negative durations", "version: 1\ndefaults: {ttl: -1d, send_timeout: -1s, retry: {min_backoff: -1ms}}\nshutdown: {drain_timeout: -1s}\n", []string{
		`2:17: ttl "-1d" is negative; write 0s or more`,
		`2:36: send_timeout "-1s" is negative; write 0s or more`,
		`2:62: min_backoff "-1ms" is negative; write 0s or more`,
		`3:27: drain_timeout "-1s" is negative; write 0s or more`,
	}},
	{"timeouts of zero", "version: 1\ndefaults: {timeout: 0s, send_timeout: 0}\n", []string{
		`2:21: timeout "0s" is zero; write a duration above 0`,
		`2:39: send_timeout "0" is zero; write a duration above 0`,
	}},
	{"backoffs the wrong way round", "version: 1\ndefaults:\n  retry:\n    min_backoff: 10m\n    max_backoff: 5m\n", []string{
		`5:18: max_backoff 5m is below min_backoff 10m; swap them, or raise max_backoff`,
	}},
	{"backoffs the wrong way round in a binding", "version: 1\nbindings:\n  a.B: {retry: {min_backoff: 2h, max_backoff: 90s}}\n", []string{
		`3:47: max_backoff 1m30s is below min_backoff 2h; swap them, or raise max_backoff`,
	}},
	{"backoffs of an rpc and its service that do not fit", "version: 1\nbindings:\n  a.B/C: {retry: {min_backoff: 20s}}\n  a.B: {retry: {max_backoff: 10s}}\n", []string{
		`3:18: together with the binding of its service, max_backoff 10s is below min_backoff 20s; give both here`,
	}},
	{"what is no size", "version: 1\ndefaults: {max_message_bytes: 1MiBs}\n", []string{
		`2:31: max_message_bytes "1MiBs" is not a size; write a whole number of bytes, or one with a unit, such as 512KiB, 1MiB or 1MB`,
	}},
	{"a size of zero", "version: 1\ndefaults: {max_message_bytes: 0}\n", []string{
		`2:31: max_message_bytes "0" is not above 0; write a whole number of bytes, or one with a unit, such as 512KiB, 1MiB or 1MB`,
	}},
	{"a size that protobuf cannot encode", "version: 1\ndefaults: {max_message_bytes: 2GiB}\n", []string{
		`2:31: max_message_bytes "2GiB" is too large; write less than 2GiB`,
	}},

	// Numbers out of range.
	{"no concurrency", "version: 1\ndefaults: {concurrency: 0}\n", []string{
		`2:25: concurrency "0" is too small; write a whole number from 1 to 65535`,
	}},
	{"too much concurrency", "version: 1\ndefaults: {concurrency: 65536}\n", []string{
		`2:25: concurrency "65536" is too large; write a whole number from 1 to 65535`,
	}},
	{"no attempts", "version: 1\ndefaults: {retry: {max_attempts: 0}}\n", []string{
		`2:34: max_attempts "0" is too small; write a whole number from 1 to 4294967295`,
	}},
	{"a multiplier that shrinks", "version: 1\ndefaults: {retry: {multiplier: 0.5}}\n", []string{
		`2:32: multiplier "0.5" is too small; write a number of at least 1`,
	}},
	{"a multiplier without end", "version: 1\ndefaults: {retry: {multiplier: .inf}}\n", []string{
		`2:32: multiplier ".inf" is not a number; write a number of at least 1`,
	}},
	{"a jitter above everything", "version: 1\ndefaults: {retry: {jitter: 1.1}}\n", []string{
		`2:28: jitter "1.1" is too large; write a number from 0 to 1`,
	}},

	// Contract.
	{"contract in a binding", "version: 1\nbindings:\n  a.B/C: {kind: event, topic: t, key: k, ordering: BY_KEY, group: g, message_id: m, trace: LINK}\n", []string{
		`3:11: kind is contract and cannot be configured; write it in the .proto, as (async.v1.method)`,
		`3:24: topic is contract and cannot be configured; write it in the .proto, as (async.v1.method).topic`,
		`3:34: key is contract and cannot be configured; write it in the .proto, as (async.v1.field).key`,
		`3:42: ordering is contract and cannot be configured; write it in the .proto, as policy.ordering`,
		`3:60: group is contract and cannot be configured; write it in the .proto, as (async.v1.service).group`,
		`3:70: message_id is contract and cannot be configured; write it in the .proto, as (async.v1.field).message_id`,
		`3:85: trace is contract and cannot be configured; write it in the .proto, as policy.trace`,
	}},
	{"contract in defaults", "version: 1\ndefaults: {group: g}\n", []string{
		`2:12: group is contract and cannot be configured; write it in the .proto, as (async.v1.service).group`,
	}},

	// Bindings.
	{"a binding that names nothing", "version: 1\nbindings:\n  acme.*: {codec: protojson}\n  a.B/C/D: {codec: protojson}\n  a..B: {codec: protojson}\n", []string{
		`3:3: this does not name a service or an rpc; write <package>.<Service> or <package>.<Service>/<Rpc>`,
		`4:3: this does not name a service or an rpc; write <package>.<Service> or <package>.<Service>/<Rpc>`,
		`5:3: this does not name a service or an rpc; write <package>.<Service> or <package>.<Service>/<Rpc>`,
	}},
	{"a binding to an unknown transport", "version: 1\ntransports: {main: {url: \"memory://\"}}\nbindings:\n  a.B: {transport: mian}\n", []string{
		`4:20: no transport has this name; did you mean main?`,
	}},
	{"a binding to a transport when there are none", "version: 1\nbindings:\n  a.B: {transport: main}\n", []string{
		`3:20: no transport has this name; there are none under transports; write "<scheme>://<address>" at the top of the file`,
	}},
	{"a binding to a URL", "version: 1\nbindings:\n  a.B: {transport: \"memory://\"}\n", []string{
		`3:20: this is a URL; give it a name under transports, and write the name here`,
	}},

	// Transports.
	{"a transport in defaults", "version: 1\ndefaults: {transport: main}\n", []string{
		`2:12: defaults have no transport; write transport at the top of the file`,
	}},
	{"a name that no transport has", "version: 1\ntransport: fats\ntransports: {fast: {url: \"memory://\"}, main: {url: \"memory://\"}}\n", []string{
		`2:12: no transport has this name; did you mean fast?`,
	}},
	{"several transports and none chosen", "version: 1\ntransports: {fast: {url: \"memory://\"}, main: {url: \"memory://\"}}\n", []string{
		`2:13: transport is missing, and there are several: fast, main; write transport: with the name of the one that carries what no binding names`,
	}},
	{"http for everything", "version: 1\ntransport: http\n", []string{
		`2:12: http is the Connect bridge's and carries single bindings only; write transport: http in a binding`,
	}},
	{"a transport called http", "version: 1\ntransports: {http: {url: \"memory://\"}}\n", []string{
		`2:14: this cannot be the name of a transport; write lower-case letters, digits, "_" and "-", and not http, which is the Connect bridge's`,
	}},
	{"a transport that is a URL", "version: 1\ntransports: {main: \"memory://\"}\n", []string{
		`2:20: transport "main" is a string; write {url: "<scheme>://<address>"}`,
	}},
	{"a transport without a URL", "version: 1\ntransports: {main: {declare: none}}\n", []string{
		`2:20: transport "main" has no url; write url: "<scheme>://<address>"`,
	}},
	{"a transport with an empty URL", "version: 1\ntransports: {main: {url: \"\"}}\n", []string{
		`2:26: url "" is empty; write a value, or remove the key`,
	}},
	{"what is no URL", "version: 1\ntransports: {main: {url: rabbit}}\n", []string{
		`2:26: not a transport URL; write "<scheme>://<address>", for example "memory://" or "amqp://user@host:5672/vhost"`,
	}},
	{"a URL with a bad host", "version: 1\ntransport: \"amqp://a b/shop\"\n", []string{
		`2:12: the amqp URL has a malformed host; write "<scheme>://<address>", with user and password escaped as %XX`,
	}},
	{"TLS for a plain scheme", "version: 1\ntransports: {main: {url: \"amqp://rabbit\", tls: {ca_file: ca.pem}}}\n", []string{
		`2:26: amqp:// is plain text and would ignore tls; write amqps://`,
	}},
	{"TLS for a plain scheme, allowed to be insecure", "version: 1\ntransports: {main: {url: \"amqp://rabbit\", insecure: true, tls: {ca_file: ca.pem}}}\n", []string{
		`2:26: amqp:// is plain text and would ignore tls; write amqps://`,
	}},
	{"a certificate that shall not be checked", "version: 1\ntransports: {main: {url: \"amqps://rabbit\", tls: {skip_verify: true}}}\n", []string{
		`2:50: the server's certificate is always checked; name who signed it in ca_file, and what it is called in server_name`,
	}},
	{"the same, allowed to be insecure", "version: 1\ntransports: {main: {url: \"amqps://rabbit\", insecure: true, tls: {insecure_skip_verify: true}}}\n", []string{
		`2:66: the server's certificate is always checked; name who signed it in ca_file, and what it is called in server_name`,
	}},
	{"half a key pair", "version: 1\ntransports: {main: {url: \"amqps://rabbit\", tls: {cert_file: c.pem}}}\n", []string{
		`2:49: cert_file and key_file are a pair, and one is missing; write both, or none for a server certificate alone`,
	}},
	{"an unknown declare mode", "version: 1\ntransports: {main: {url: \"memory://\", declare: maybe}}\n", []string{
		`2:48: declare "maybe" is not known; write one of create, verify, none`,
	}},
	{"a password as a key", "version: 1\ntransports: {main: {url: \"amqps://rabbit\", password: p}}\n", []string{
		`2:44: credentials do not belong here; put them in a file, and name the file in credentials_file`,
	}},
	{"a password in two places", "version: 1\ntransports: {main: {url: \"amqps://u:${WORD}@rabbit\", credentials_file: f}}\n", []string{
		`2:26: the password stands here and credentials_file is given too; remove the password from the URL`,
	}},
	{"a password in the URL", "version: 1\ntransport: \"amqps://u:p@rabbit\"\n", []string{
		`2:12: transport holds a password; write ${NAME} in its place and set the environment variable NAME, or put user and password in a file and name it in credentials_file`,
	}},
	{"a password in the URL of a transport that is not used", "version: 1\ntransport: a\ntransports: {a: {url: \"memory://\"}, b: {url: \"amqps://u:p@rabbit\"}}\n", []string{
		`3:46: url holds a password; write ${NAME} in its place and set the environment variable NAME, or put user and password in a file and name it in credentials_file`,
	}},
	{"a password as the default of a variable", "version: 1\ntransport: ${NONE:-amqps://u:p@rabbit}\n", []string{
		`2:12: transport holds a password; write ${NAME} in its place and set the environment variable NAME, or put user and password in a file and name it in credentials_file`,
	}},
	{"a password that is partly a variable", "version: 1\ntransport: \"amqps://u:p${WORD}@rabbit\"\n", []string{
		`2:12: transport holds a password; write ${NAME} in its place and set the environment variable NAME, or put user and password in a file and name it in credentials_file`,
	}},
	{"a password behind a scheme and host that are variables", "version: 1\ntransport: \"${SCHEME:-}u:p@${HOST:-rabbit}\"\n", []string{
		`2:12: transport holds a password; write ${NAME} in its place and set the environment variable NAME, or put user and password in a file and name it in credentials_file`,
	}},
	{"a password with a slash, from a variable", "version: 1\ntransport: \"amqps://u:${SLASH}@rabbit\"\n", []string{
		`2:12: the amqps URL has a malformed path, query or password: escape '@', '/' and '?' in them as %XX; write "<scheme>://<address>", with user and password escaped as %XX`,
	}},
	{"an option with parts", "version: 1\ntransports: {main: {url: \"memory://\", options: {a: [b]}}}\n", []string{
		`2:52: a is a list; write a single value`,
	}},

	// Variables.
	{"a variable that is not set", "version: 1\ntransport: ${ASYNC_URL}\n", []string{
		`2:12: transport: the environment variable ASYNC_URL is not set; set it, or write ${ASYNC_URL:-default}`,
	}},
	{"a variable that is not closed", "version: 1\napp: a${B\n", []string{
		`2:6: app: ${ is not closed; write ${VAR} or ${VAR:-default}, or $${ for the text ${`,
	}},
	{"a variable without a name", "version: 1\napp: ${1A}\nnamespace: ${}\n", []string{
		`2:6: app: ${…} does not hold the name of an environment variable; write ${VAR} or ${VAR:-default}, or $${ for the text ${`,
		`3:12: namespace: ${…} does not hold the name of an environment variable; write ${VAR} or ${VAR:-default}, or $${ for the text ${`,
	}},
	{"a variable with a value that does not fit", "version: 1\ndefaults: {timeout: \"${WORD}\"}\n", []string{
		`2:21: timeout, with its variables replaced, is not a duration; write a number with a unit, such as 500ms, 30s, 5m, 2h or 7d`,
	}},

	{"many problems at once, in the order of the file", "version: 1\nbindings:\n  a.B: {timeout: 1}\nshutdown: {drain: 1s}\napp: 1\ntransport: http\n", []string{
		`3:18: timeout "1" is a duration without a unit; write a number with a unit, such as 500ms, 30s, 5m, 2h or 7d`,
		`4:12: unknown key "drain" in shutdown; known here: drain_timeout`,
		`5:6: app is a number; write a string; quotes make it one`,
		`6:12: http is the Connect bridge's and carries single bindings only; write transport: http in a binding`,
	}},
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	env := lookup(map[string]string{"WORD": "canary", "SLASH": "can/ary"})
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load("async.yaml", []byte(tt.file), env)
			if c == nil {
				t.Error("the Config is nil")
			}
			if err == nil {
				t.Fatalf("no error, want:\n%s", strings.Join(tt.want, "\n"))
			}
			want := "async.yaml:" + strings.Join(tt.want, "\nasync.yaml:")
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s\ngot:\n%v", diff, err)
			}
			var one *config.ProblemError
			if !errors.As(err, &one) || one.Error() != "async.yaml:"+tt.want[0] {
				t.Errorf("errors.As finds %v, want the first problem", one)
			}
		})
	}
}

func TestConfigHoldsWhatCouldBeRead(t *testing.T) {
	t.Parallel()
	c, err := config.Load("async.yaml", []byte("version: 1\napp: 5\nnamespace: dev\nbindings: {a.B: {timeout: 2, concurrency: 3}}\n"), lookup(nil))
	if err == nil {
		t.Fatal("no error")
	}
	if c.Namespace != "dev" || len(c.Bindings) != 1 || *c.Bindings[0].Concurrency != 3 {
		t.Errorf("got %+v", c)
	}
}

func TestReportListsProblemsOnceAndInOrder(t *testing.T) {
	t.Parallel()
	var r config.Report
	if err := r.Err(); err != nil {
		t.Fatalf("an empty report: got %v", err)
	}
	at := func(line, column int) config.Position {
		return config.Position{File: "a.yaml", Line: line, Column: column}
	}
	r.Add(at(10, 1), "last", "")
	r.Add(at(2, 3), "second", "b")
	r.Add(at(2, 1), "first", "a")
	r.Add(at(2, 3), "second", "b")
	if got, want := r.Err().Error(), "a.yaml:2:1: first; a\na.yaml:2:3: second; b\na.yaml:10:1: last"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestAFileOfTheLargestSizeIsReadAtOnce fills a file with what is compared with each other. It is not parallel: it looks at the
// memory of the process.
func TestAFileOfTheLargestSizeIsReadAtOnce(t *testing.T) { //nolint:paralleltest // see above
	const entries = 9000
	const most = 5 * time.Second // of which the race detector takes most
	several := func(entries int, format string) string {
		var text strings.Builder
		for i := range entries {
			fmt.Fprintf(&text, format, i)
		}
		return text.String()
	}
	many := func(format string) string { return several(entries, format) }
	transports := "transports:\n" + many("  transport-number-%d: {url: \"memory://\"}\n")
	for name, file := range map[string]string{
		"rpcs without a service":                "bindings:\n" + several(30_000, "  a.B%d/C: {}\n"),
		"rpcs of one service":                   "bindings:\n  a.B: {retry: {max_backoff: 1ms}}\n" + many("  a.B/C%d: {retry: {min_backoff: 1s}}\n"),
		"transports that nobody knows":          transports + "bindings:\n" + many("  a.B%d/C: {transport: transport-numbr-%[1]d}\n"),
		"transports that are like no other":     transports + "bindings:\n" + many("  a.B%d/C: {transport: "+strings.Repeat("x", 30)+"}\n"),
		"keys that nobody knows":                many("key-%d: 1\n"),
		"a transport with keys that none knows": "transports: {main: {url: \"memory://\", options: {" + many("key-%d: 1, ") + "}}}\n",
	} {
		file = "version: 1\n" + file
		if len(file) > config.MaxBytes {
			t.Fatalf("%s: the file has %d bytes, and larger ones are not read", name, len(file))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := config.Load("async.yaml", []byte(file), lookup(nil))
		said := 0
		if err != nil {
			said = len(err.Error())
		}
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		if took > most {
			t.Errorf("%s: it took %s", name, took)
		}
		if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 256 {
			t.Errorf("%s: it took %d MiB of memory, for an error of %d bytes", name, used, said)
		}
	}
}
