package transport_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/asyncpb/async/runtime/transport"
)

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	const text = "c4n4ry"
	secret := transport.NewSecret(text)
	config := transport.Config{Password: secret}
	type hidden struct{ password transport.Secret }
	values := map[string]any{
		"one in a field that is not exported": hidden{secret},
		"a secret":                            secret,
		"a pointer to one":                    &secret,
		"a config":                            config,
		"a pointer to a config":               &config,
		"a map of pointers":                   map[string]*transport.Config{"main": &config},
		"a slice of secrets":                  []transport.Secret{secret},
	}
	for name, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%p"} {
			if printed := fmt.Sprintf(verb, value); strings.Contains(printed, text) || strings.Contains(printed, fmt.Sprintf("%x", text)) {
				t.Errorf("%s of %s holds the secret: %s", verb, name, printed)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%10s"} {
		for what, value := range map[string]any{"a secret": secret, "a pointer to one": &secret, "an empty one": transport.Secret{}} {
			if printed := fmt.Sprintf(verb, value); printed != "[redacted]" {
				t.Errorf("%s of %s: %s", verb, what, printed)
			}
		}
	}
	if encoded, err := xml.Marshal(secret); err != nil || string(encoded) != "<Secret>[redacted]</Secret>" {
		t.Errorf("XML: got %s, %v", encoded, err)
	}
	encoded, err := json.Marshal(struct{ Password transport.Secret }{secret})
	if err != nil || string(encoded) != `{"Password":"[redacted]"}` {
		t.Errorf("JSON: got %s, %v", encoded, err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("open", "password", secret)
	if !strings.Contains(log.String(), "password=[redacted]") {
		t.Errorf("slog: got %s", log.String())
	}
	if secret.Reveal() != text || secret.Empty() {
		t.Errorf("Reveal: got %q, empty %v", secret.Reveal(), secret.Empty())
	}
	if empty := transport.NewSecret(""); empty.Reveal() != "" || !empty.Empty() {
		t.Errorf("the empty secret: got %q, empty %v", empty.Reveal(), empty.Empty())
	}
}
