package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/asyncpb/async/runtime/internal/config"
)

// canary stands for every secret. Part of it is special to YAML and to URLs.
const canary = "c4n4ry"

func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	env := lookup(map[string]string{
		"URL":   "amqp://user:" + canary + "@rab bit/shop",
		"WORD":  canary,
		"SLASH": canary + "/x", "QUESTION": canary + "?x",
		"USER": "user:" + canary + "@rabbit",
	})
	tests := []struct{ name, file string }{
		{"a malformed URL", "transport: \"amqp://user:" + canary + "%zz@rabbit/shop\""},
		{"a malformed URL of a variable", "transport: ${URL}"},
		{"a URL without a scheme", "transport: user:" + canary + "@rabbit"},
		{"a URL without a scheme, of a variable", "transport: ${USER}"},
		{"a variable that is no transport", "transport: ${WORD}"},
		{"a binding to a variable that is no transport", "transports: {main: {url: \"memory://\"}}\nbindings:\n  a.B: {transport: \"${WORD}\"}"},
		{"a malformed URL of a transport", "transports: {main: {url: \"amqp://user:" + canary + "@rab bit\"}}"},
		{"a URL with a bad query", "transport: \"amqp://rabbit?password=" + canary + "&a=%zz\""},
		{"a URL with a password and a credentials file", "transports: {main: {url: \"amqps://u:" + canary + "@rabbit\", credentials_file: f}}"},
		{"a URL under tls", "transports: {main: {url: \"amqp://u:" + canary + "@rabbit\", tls: {ca_file: ca.pem}}}"},
		{"a URL in a binding", "bindings:\n  a.B: {transport: \"amqp://u:" + canary + "@rabbit\"}"},
		{"a URL as a name of a transport", "transports:\n  \"amqp://u:" + canary + "@rabbit\": {declare: none}"},
		{"a URL as a binding", "bindings:\n  \"amqp://u:" + canary + "@rabbit\": {codec: protojson}"},
		{"a URL as an unknown key", "\"amqp://u:" + canary + "@rabbit\": 1"},
		{"a URL as a duplicate key", "\"amqp://u:" + canary + "@rabbit\": 1\n\"amqp://u:" + canary + "@rabbit\": 1"},
		{"a URL as a duration", "defaults: {timeout: \"amqp://u:" + canary + "@rabbit\"}"},
		{"a URL as a list", "transport: [\"amqp://u:" + canary + "@rabbit\"]"},
		{"a URL as a transport", "transports: {main: \"amqp://u:" + canary + "@rabbit\"}"},
		{"a variable as a duration", "defaults: {timeout: \"${WORD}\"}"},
		{"a default of a variable as a duration", "defaults: {timeout: \"${NONE:-" + canary + "}\"}"},
		{"a default of a variable that is not closed", "app: ${NONE:-" + canary},
		{"a password in a URL", "transport: \"amqp://u:" + canary + "@rabbit\""},
		{"a password in the default of a variable", "transport: \"${NONE:-amqp://u:" + canary + "@rabbit}\""},
		{"a password with a slash", "transport: \"amqp://u:${SLASH}@rabbit\""},
		{"a password with a question mark", "transport: \"amqp://u:${QUESTION}@rabbit\""},
		{"a password that starts with an asterisk", "app: *" + canary},
		{"a password with a tag", "app: !" + canary + " a"},
		{"a password that breaks the YAML", "app: \"" + canary + "\" x"},
		{"a password in an option with parts", "transports: {main: {url: \"memory://\", options: {password: [" + canary + "]}}}"},
		{"a password as a key of its own", "transports: {main: {url: \"memory://\", password: " + canary + "}}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load("async.yaml", []byte("version: 1\n"+tt.file+"\n"), env)
			if err == nil {
				t.Fatal("no error")
			}
			for _, format := range []string{"%v", "%+v", "%#v", "%q"} {
				if text := fmt.Sprintf(format, err); strings.Contains(text, canary) {
					t.Errorf("%s holds the secret: %s", format, text)
				}
			}
		})
	}
}

func TestConfigPrintsNoSecrets(t *testing.T) {
	t.Parallel()
	c := load(t, "version: 1\ntransport: main\ntransports: {main: {url: \"amqps://user:${PASSWORD}@rabbit/shop\"}}\n", map[string]string{"PASSWORD": canary})
	if c.Transport.Password.Reveal() != canary {
		t.Fatal("the password was not read")
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, printed := range []any{c, *c, *c.Transport, c.Transports} {
			if text := fmt.Sprintf(format, printed); strings.Contains(text, canary) {
				t.Errorf("%s of %T holds the secret: %s", format, printed, text)
			}
		}
	}
}
